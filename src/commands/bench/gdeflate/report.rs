//! What was measured, as a table and as JSON.

use serde_json::{Map, Value, json};

use super::codec::{ENGINE, REFERENCE};
use super::corpus::Class;
use super::measure::{Curve, Plan, Row, Speed};
use crate::ui::{self, Table};

/// A class whose ratio is outside of these only copies or fills memory, and counts in no mean.
const RATIO_MIN: f64 = 1.02;
const RATIO_MAX: f64 = 50.0;

/// The figures of one class.
pub(super) struct Figures {
    pub(super) name: String,
    pub(super) origin: String,
    pub(super) rows: Vec<Row>,
}

/// Geometric means of one codec over the classes that count.
pub(super) struct Mean {
    pub(super) codec: String,
    pub(super) level: Option<u8>,
    pub(super) ratio: f64,
    pub(super) decode: Speed,
    pub(super) encode: Option<Speed>,
}

/// Everything.
pub(super) struct Report {
    /// What it was measured on, as the kernel names it.
    pub(super) processor: String,
    pub(super) level: u8,
    pub(super) threads: usize,
    pub(super) decodes: usize,
    pub(super) encodes: usize,
    pub(super) classes: Vec<Figures>,
    /// None if every class is trivial.
    pub(super) means: Vec<Mean>,
    pub(super) curves: Vec<Curve>,
}

impl Figures {
    pub(super) fn new(class: &Class, rows: Vec<Row>) -> Figures {
        Figures {
            name: class.name.clone(),
            origin: class.origin.clone(),
            rows,
        }
    }

    fn row(&self, codec: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.codec == codec)
    }

    /// Whether there is nothing in it for a codec to do.
    pub(super) fn is_trivial(&self) -> bool {
        let ratio = self.row(ENGINE).map_or(1.0, Row::ratio);
        !(RATIO_MIN..=RATIO_MAX).contains(&ratio)
    }
}

/// The geometric mean; none of nothing.
fn geometric_mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let logs: Vec<f64> = values.map(f64::ln).collect();
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

fn mean_speed(speeds: &[Speed]) -> Option<Speed> {
    Some(Speed {
        mb_s: geometric_mean(speeds.iter().map(|speed| speed.mb_s))?,
        to_reference: geometric_mean(speeds.iter().filter_map(|speed| speed.to_reference)),
        threads_mb_s: geometric_mean(speeds.iter().filter_map(|speed| speed.threads_mb_s)),
    })
}

fn means(classes: &[Figures]) -> Vec<Mean> {
    let counting: Vec<&Figures> = classes.iter().filter(|class| !class.is_trivial()).collect();
    let Some(first) = counting.first() else {
        return Vec::new();
    };
    let mean = |row: &Row| {
        let rows = || counting.iter().filter_map(|class| class.row(&row.codec));
        let decodes: Vec<Speed> = rows().map(|row| row.decode).collect();
        let encodes: Vec<Speed> = rows().filter_map(|row| row.encode).collect();
        Some(Mean {
            codec: row.codec.clone(),
            level: row.level,
            ratio: geometric_mean(rows().map(Row::ratio))?,
            decode: mean_speed(&decodes)?,
            encode: mean_speed(&encodes),
        })
    };
    first.rows.iter().filter_map(mean).collect()
}

impl Report {
    pub(super) fn new(plan: &Plan, classes: Vec<Figures>, curves: Vec<Curve>) -> Report {
        Report {
            processor: processor(),
            level: plan.level,
            threads: plan.threads,
            decodes: plan.decodes,
            encodes: plan.encodes,
            means: means(&classes),
            classes,
            curves,
        }
    }

    /// Whether other codecs took part.
    pub(super) fn has_peers(&self) -> bool {
        let mut rows = self.classes.iter().flat_map(|class| &class.rows);
        rows.any(|row| row.codec == REFERENCE)
    }

    /// A table for people.
    pub(super) fn text(&self) -> String {
        let mut table = Table::new(&[1]);
        let mut head = vec![
            "class",
            "codec",
            "ratio",
            "decode MB/s",
            "x ref",
            "encode MB/s",
            "x ref",
        ];
        let together = [
            format!("decode MB/s, {} threads", self.threads),
            format!("encode MB/s, {} threads", self.threads),
        ];
        if self.threads > 1 {
            head.extend(together.iter().map(String::as_str));
        }
        table.line(head);
        for class in &self.classes {
            for (number, row) in class.rows.iter().enumerate() {
                let name = if number == 0 { &class.name[..] } else { "" };
                let codec = codec_at(&row.codec, row.level);
                table.line(self.cells(name, codec, row.ratio(), row.decode, row.encode));
            }
        }
        for (number, mean) in self.means.iter().enumerate() {
            let name = if number == 0 { "geometric mean" } else { "" };
            let codec = codec_at(&mean.codec, mean.level);
            table.line(self.cells(name, codec, mean.ratio, mean.decode, mean.encode));
        }
        format!("\n{}\n{}", table.text(), self.notes())
    }

    fn cells(
        &self,
        class: &str,
        codec: String,
        ratio: f64,
        decode: Speed,
        encode: Option<Speed>,
    ) -> Vec<String> {
        let speed = |speed: f64| format!("{speed:.0}");
        let times = |ratio: Option<f64>| ratio.map_or("-".into(), |ratio| format!("{ratio:.3}"));
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let mut cells = vec![
            class.to_owned(),
            codec,
            format!("{ratio:.3}"),
            speed(decode.mb_s),
            times(decode.to_reference),
            or_none(encode.map(|encode| format!("{:.1}", encode.mb_s))),
            times(encode.and_then(|encode| encode.to_reference)),
        ];
        if self.threads > 1 {
            cells.push(or_none(decode.threads_mb_s.map(speed)));
            let threads = encode.and_then(|encode| encode.threads_mb_s);
            cells.push(or_none(threads.map(|mb_s| format!("{mb_s:.1}"))));
        }
        cells
    }

    fn notes(&self) -> String {
        let mut notes = format!(
            "medians of {} and {}; x ref: of the ratios to the reference within each\n",
            ui::count(self.decodes as u64, "decoding"),
            ui::count(self.encodes as u64, "encoding"),
        );
        let trivial = self.classes.iter().filter(|class| class.is_trivial());
        let trivial: Vec<&str> = trivial.map(|class| &class.name[..]).collect();
        if !trivial.is_empty() {
            notes += &format!(
                "not in the means, since there is nothing to decode: {}\n",
                trivial.join(", ")
            );
        }
        for class in &self.classes {
            for row in class.rows.iter().filter(|row| row.stored_count > 0) {
                notes += &format!(
                    "{} gave up on {} of {}, stored as they are\n",
                    row.codec,
                    ui::count(row.stored_count as u64, "tile"),
                    class.name
                );
            }
        }
        if !self.has_peers() {
            notes += "other codecs to compare with: \
                      cargo run --release --features bench-peers -- bench gdeflate\n";
        }
        notes
    }

    /// Everything, for programs.
    pub(super) fn json(&self) -> Value {
        let class = |class: &Figures| {
            let bytes = class.rows.first().map_or(0, |row| row.content_bytes);
            json!({
                "class": class.name,
                "origin": class.origin,
                "bytes": bytes,
                "trivial": class.is_trivial(),
                "rows": class.rows.iter().map(row_json).collect::<Vec<_>>(),
            })
        };
        let mean = |mean: &Mean| {
            let mut value = json!({"codec": mean.codec, "ratio": rounded(mean.ratio)});
            put_speeds(&mut value, mean.level, mean.decode, mean.encode);
            value
        };
        let curve = |curve: &Curve| {
            let points = curve.points.iter().map(|point| {
                let (ratio, mb_s) = (rounded(point.ratio), rounded(point.mb_s));
                json!({"level": point.level, "ratio": ratio, "encode_mb_s": mb_s})
            });
            json!({"codec": curve.codec, "points": points.collect::<Vec<_>>()})
        };
        json!({
            "summary": self.summary(),
            "processor": self.processor,
            "cores": ui::cores(),
            "threads": self.threads,
            "means": self.means.iter().map(mean).collect::<Vec<_>>(),
            "classes": self.classes.iter().map(class).collect::<Vec<_>>(),
            "encoders": self.curves.iter().map(curve).collect::<Vec<_>>(),
        })
    }

    /// Flat, and numbers only: a line for `bench/history.ndjson`. The engine's own have no prefix.
    pub(super) fn summary(&self) -> Value {
        let mut flat = Map::new();
        let counting = self.classes.iter().filter(|class| !class.is_trivial());
        flat.insert("classes".into(), counting.count().into());
        flat.insert("level".into(), self.level.into());
        flat.insert("decodes".into(), self.decodes.into());
        flat.insert("encodes".into(), self.encodes.into());
        for mean in &self.means {
            let prefix = match &mean.codec[..] {
                ENGINE => String::new(),
                codec => format!("{codec}."),
            };
            let mut put = |name: &str, value: Option<f64>| {
                if let Some(value) = value {
                    flat.insert(format!("{prefix}{name}"), rounded(value));
                }
            };
            // That the reference is as fast as itself is no news.
            let to_reference = |speed: Speed| {
                let other = mean.codec != REFERENCE;
                speed.to_reference.filter(|_| other)
            };
            put("decode_mb_s", Some(mean.decode.mb_s));
            put("decode_to_reference_ratio", to_reference(mean.decode));
            put("decode_threads_mb_s", mean.decode.threads_mb_s);
            if let Some(encode) = mean.encode {
                put("compressed_ratio", Some(mean.ratio));
                put("encode_mb_s", Some(encode.mb_s));
                put("encode_to_reference_ratio", to_reference(encode));
                put("encode_threads_mb_s", encode.threads_mb_s);
            }
        }
        Value::Object(flat)
    }
}

/// To four digits behind the point: more are noise.
fn rounded(value: f64) -> Value {
    ((value * 1e4).round() / 1e4).into()
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':'));
    name.map_or_else(
        || std::env::consts::ARCH.to_owned(),
        |(_, name)| name.trim().to_owned(),
    )
}

/// `zstd 14`: the codec and its level.
pub(super) fn codec_at(codec: &str, level: Option<u8>) -> String {
    level.map_or_else(|| codec.to_owned(), |level| format!("{codec} {level}"))
}

fn row_json(row: &Row) -> Value {
    let mut value = json!({
        "codec": row.codec,
        "compressed_bytes": row.compressed_bytes,
        "ratio": rounded(row.ratio()),
        "stored_tiles": row.stored_count,
    });
    put_speeds(&mut value, row.level, row.decode, row.encode);
    value
}

fn put_speeds(value: &mut Value, level: Option<u8>, decode: Speed, encode: Option<Speed>) {
    if let Some(level) = level {
        value["level"] = level.into();
    }
    for (direction, speed) in [("decode", Some(decode)), ("encode", encode)] {
        let Some(speed) = speed else { continue };
        value[format!("{direction}_mb_s")] = rounded(speed.mb_s);
        for (name, figure) in [
            ("to_reference_ratio", speed.to_reference),
            ("threads_mb_s", speed.threads_mb_s),
        ] {
            if let Some(figure) = figure {
                value[format!("{direction}_{name}")] = rounded(figure);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(name: &str, compressed_bytes: usize, mb_s: f64) -> Figures {
        let speed = Speed {
            mb_s,
            to_reference: Some(mb_s / 100.0),
            threads_mb_s: None,
        };
        let row = Row {
            codec: ENGINE.to_owned(),
            level: Some(9),
            content_bytes: 1000,
            compressed_bytes,
            stored_count: 0,
            decode: speed,
            encode: Some(speed),
        };
        Figures {
            name: name.to_owned(),
            origin: String::new(),
            rows: vec![row],
        }
    }

    #[test]
    fn means_are_geometric_and_over_what_counts() {
        let classes = [
            figures("a", 500, 100.0),
            figures("b", 125, 400.0),
            figures("noise", 1000, 1e6),
            figures("zeros", 2, 1e6),
        ];
        let means = means(&classes);
        let [mean] = &means[..] else {
            panic!("one codec: {}", means.len())
        };
        let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
        assert!(close(mean.ratio, 4.0) && close(mean.decode.mb_s, 200.0));
        assert!(
            mean.decode
                .to_reference
                .is_some_and(|ratio| close(ratio, 2.0))
        );
        assert!(mean.decode.threads_mb_s.is_none());
    }
}
