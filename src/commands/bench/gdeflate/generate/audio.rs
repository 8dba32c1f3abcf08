//! Sound that is not compressed: notes that decay, over a floor of noise.

use crate::sample::Random;

const RATE_HZ: f32 = 48_000.0;
/// Notes that sound at once.
const VOICES: usize = 6;

/// A decaying sine: a point that turns about the origin and falls towards it, by multiplication alone.
#[derive(Clone, Copy, Default)]
struct Partial {
    at: [f32; 2],
    turn: [f32; 2],
}

impl Partial {
    fn new(hz: f32, loudness: f32, decay: f32) -> Partial {
        // The beginnings of the series are exact to six digits up to an eighth of a turn, 6 kHz.
        let angle = hz / RATE_HZ * std::f32::consts::TAU;
        let square = angle * angle;
        let sine = angle * (1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0)));
        let cosine = 1.0 - square / 2.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0));
        Partial {
            at: [loudness, 0.0],
            turn: [cosine * decay, sine * decay],
        }
    }

    fn step(&mut self) -> f32 {
        let ([x, y], [cosine, sine]) = (self.at, self.turn);
        self.at = [x * cosine - y * sine, x * sine + y * cosine];
        self.at[1]
    }
}

/// 16-bit stereo.
pub(super) fn pcm(random: &mut Random, bytes: usize) -> Vec<u8> {
    let mut voices = [([Partial::default(); 4], 0.5); VOICES];
    let mut out = Vec::with_capacity(bytes + 4);
    let mut sample = 0u32;
    while out.len() < bytes {
        // A note every eighth of a second, on a scale of five tones.
        if sample.is_multiple_of(6000) {
            let tones = [1.0, 1.125, 1.25, 1.5, 1.6875];
            let octave = (1u32 << random.below(3)) as f32;
            let hz = 110.0 * octave * tones[random.below(5) as usize];
            let loudness = 600.0 + 3000.0 * random.unit();
            let partials = std::array::from_fn(|number| {
                let overtone = (number + 1) as f32;
                let decay = 1.0 - 0.000_08 * overtone;
                Partial::new(hz * overtone, loudness / (overtone * overtone), decay)
            });
            voices[(sample / 6000) as usize % VOICES] = (partials, random.unit());
        }
        let mut sides = [0.0; 2];
        for (partials, place) in &mut voices {
            let sound: f32 = partials.iter_mut().map(Partial::step).sum();
            sides[0] += sound * *place;
            sides[1] += sound * (1.0 - *place);
        }
        for side in sides {
            let hiss = random.unit() + random.unit() - 1.0;
            let value = (side + hiss * 12.0).clamp(-32_768.0, 32_767.0) as i16;
            out.extend(value.to_le_bytes());
        }
        sample += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_is_the_sine_it_says() {
        let mut partial = Partial::new(1000.0, 1.0, 1.0);
        for step in 1..=480u16 {
            let angle = 1000.0 / f64::from(RATE_HZ) * std::f64::consts::TAU * f64::from(step);
            let difference = f64::from(partial.step()) - angle.sin();
            assert!(difference.abs() < 1e-3, "{step}: {difference}");
        }
    }

    #[test]
    fn it_sounds_and_does_not_clip() {
        let sound = pcm(&mut Random::new(3), 1 << 20);
        let samples = sound
            .chunks_exact(2)
            .map(|s| i16::from_le_bytes([s[0], s[1]]));
        let loudest = samples
            .map(i16::unsigned_abs)
            .max()
            .expect("there are samples");
        assert!((3000..32_767).contains(&loudest), "{loudest}");
    }
}
