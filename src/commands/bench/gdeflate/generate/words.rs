//! Things made of words: text, JSON, tables.

use crate::sample::Random;

/// Words that come in a corpus, the frequent ones first, each with those that like to follow it.
struct Language {
    words: Vec<String>,
    followers: Vec<[usize; 4]>,
}

impl Language {
    fn new(random: &mut Random, words: usize) -> Language {
        const SYLLABLES: [&str; 32] = [
            "a", "be", "con", "da", "er", "est", "fi", "gra", "ha", "in", "is", "ju", "ka", "la",
            "mer", "mo", "ne", "on", "or", "pa", "qui", "re", "ro", "sa", "sol", "st", "ta", "the",
            "tion", "ul", "ver", "wi",
        ];
        let words: Vec<String> = (0..words)
            .map(|rank| {
                // Frequent words are short ones.
                let syllables = 1 + random.below(if rank < 200 { 2 } else { 4 });
                let syllable = |_| SYLLABLES[random.below(SYLLABLES.len() as u64) as usize];
                (0..syllables).map(syllable).collect()
            })
            .collect();
        let followers = words
            .iter()
            .map(|_| std::array::from_fn(|_| random.skewed(words.len() as u64) as usize))
            .collect();
        Language { words, followers }
    }

    /// Some word's number, the frequent ones more often.
    fn any(&self, random: &mut Random) -> usize {
        let rare = random.skewed(self.words.len() as u64);
        // Twice skewed: half of a text is made of its hundred most frequent words.
        random.skewed(rare + 1) as usize
    }

    fn after(&self, random: &mut Random, word: usize) -> usize {
        match random.below(8) {
            0..4 => self.followers[word][random.skewed(4) as usize],
            _ => self.any(random),
        }
    }

    fn word(&self, random: &mut Random) -> &str {
        &self.words[self.any(random)]
    }
}

/// Sentences and paragraphs.
pub(super) fn text(random: &mut Random, bytes: usize) -> Vec<u8> {
    let language = Language::new(random, 6000);
    let (mut out, mut word, mut begins) = (String::with_capacity(bytes + 64), 0, true);
    while out.len() < bytes {
        word = language.after(random, word);
        let text = &language.words[word];
        if begins {
            out.push_str(&text[..1].to_uppercase());
            out.push_str(&text[1..]);
        } else {
            out.push_str(text);
        }
        let end = random.below(64);
        out.push_str(match end {
            0 => ".\n\n",
            1..5 => ". ",
            5..9 => ", ",
            9 => "? ",
            _ => " ",
        });
        begins = matches!(end, 0..5 | 9);
    }
    out.into_bytes()
}

/// Objects of a scene, one after the other in an array that has no end.
pub(super) fn json(random: &mut Random, bytes: usize) -> Vec<u8> {
    const KINDS: [&str; 6] = ["prop", "light", "trigger", "foliage", "decal", "sound"];
    let language = Language::new(random, 900);
    let mut out = String::from("{\n  \"version\": 3,\n  \"objects\": [\n");
    let mut id = 1000;
    while out.len() < bytes {
        id += 1 + random.skewed(6);
        let kind = KINDS[random.skewed(6) as usize];
        let name = language.word(random);
        let number = random.below(100);
        let place: [f32; 3] = std::array::from_fn(|_| random.unit() * 512.0 - 256.0);
        let turn = random.below(16) as f32 * 22.5;
        let scale = 1.0 + random.skewed(8) as f32 / 8.0;
        let (material, tag) = (language.word(random), language.word(random));
        let visible = !random.next().is_multiple_of(9);
        out.push_str(&format!(
            "    {{\n      \"id\": {id},\n      \"name\": \"{kind}_{name}_{number:02}\",\n      \
             \"type\": \"{kind}\",\n      \"position\": [{:.3}, {:.3}, {:.3}],\n      \
             \"rotation\": [0.0, {turn:.1}, 0.0],\n      \"scale\": {scale:.3},\n      \
             \"material\": \"materials/{name}/{material}.mat\",\n      \"tags\": [\"{tag}\", \
             \"static\"],\n      \"visible\": {visible}\n    }},\n",
            place[0], place[1], place[2],
        ));
    }
    out.into_bytes()
}

/// Comma-separated values, ordered by time.
pub(super) fn table(random: &mut Random, bytes: usize) -> Vec<u8> {
    let language = Language::new(random, 400);
    let mut out = String::from("id,time,name,region,count,price,share\n");
    let (mut id, mut seconds) = (48_000, 0);
    while out.len() < bytes {
        id += 1;
        seconds += random.skewed(300);
        let (minute, hour, day) = (seconds / 60 % 60, seconds / 3600 % 24, seconds / 86_400);
        let (month, day) = (1 + day / 28 % 12, 1 + day % 28);
        out.push_str(&format!(
            "{id},2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z,{},{},{},{}.{:02},{:.4}\n",
            seconds % 60,
            language.word(random),
            ["north", "south", "east", "west"][random.skewed(4) as usize],
            random.skewed(40),
            random.skewed(500),
            random.below(20) * 5,
            random.unit(),
        ));
    }
    out.into_bytes()
}
