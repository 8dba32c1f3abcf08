//! What the comparison prints: a table for people, and the numbers for the history.

#![forbid(unsafe_code)]

use ds_core::Backend;
use serde_json::{Map, Value};

use super::super::rounds::median;
use super::{Case, Round, Side, Temperature, Who};
use crate::ui::{self, Table};

/// A side's medians.
struct Medians {
    mb_per_s: f64,
    iops: f64,
    cpu_ns: f64,
    ns: f64,
}

impl Medians {
    fn of(case: Case, side: &Side) -> Medians {
        let over = |value: fn(&Round) -> f64| median(side.rounds.iter().map(value));
        let mb_per_s = side.rounds.iter().map(|round| round.mb_per_s(case.shape));
        Medians {
            mb_per_s: median(mb_per_s),
            iops: over(rate),
            cpu_ns: over(cpu_ns),
            ns: over(|round| round.seconds / round.requests * 1e9),
        }
    }
}

fn rate(round: &Round) -> f64 {
    round.requests / round.seconds
}

fn cpu_ns(round: &Round) -> f64 {
    round.cpu_seconds / round.requests * 1e9
}

/// The median of `value` of `who` to `value` of `to`, round by round; `None` if one of them is not there.
fn ratio(sides: &[Side], who: Who, to: Who, value: fn(&Round) -> f64) -> Option<f64> {
    let find = |who| {
        let mut there = sides.iter().filter(|side| side.gone.is_none());
        there.find(|side| side.who == who)
    };
    let (ours, theirs) = (find(who)?, find(to)?);
    let pairs = ours.rounds.iter().zip(&theirs.rounds);
    let ratio = median(pairs.map(|(ours, theirs)| value(ours) / value(theirs)));
    ratio.is_finite().then_some(ratio)
}

fn or_dash(number: Option<f64>, digits: usize) -> String {
    number.map_or_else(|| "-".into(), |number| format!("{number:.digits$}"))
}

/// One case, for people.
pub(super) fn table(case: Case, sides: &[Side]) -> String {
    let mut table = Table::new(&[]);
    table.line([
        "",
        "threads",
        "MB/s",
        "IOPS",
        "CPU ns/req",
        "ns/req",
        "syscalls/req",
        "IOPS to fio",
        "CPU to fio",
    ]);
    let there = || sides.iter().filter(|side| side.gone.is_none());
    for side in there() {
        let medians = Medians::of(case, side);
        table.line([
            side.who.title().to_owned(),
            side.threads.to_string(),
            format!("{:.0}", medians.mb_per_s),
            format!("{:.0}", medians.iops),
            format!("{:.0}", medians.cpu_ns),
            format!("{:.0}", medians.ns),
            or_dash(side.syscalls.as_ref().ok().copied(), 3),
            or_dash(ratio(sides, side.who, Who::Fio, rate), 3),
            or_dash(ratio(sides, side.who, Who::Fio, cpu_ns), 3),
        ]);
    }
    let temperature = match case.temperature {
        Temperature::Warm => "warm",
        Temperature::Cold => "cold",
    };
    let size = ui::bytes(case.shape.request_bytes.into());
    let mut text = format!(
        "\n{temperature}, {size} random, depth {}\n{}",
        case.shape.depth,
        table.text()
    );
    if let Some(ratio) = per_cpu_second(sides) {
        text += &format!("requests per CPU second, io_uring to cpu: {ratio:.2}\n");
    }
    if let Some(why) = there().find_map(|side| side.syscalls.as_ref().err()) {
        text += &format!("system calls not counted: {why}\n");
    }
    for side in sides {
        if let Some(why) = &side.gone {
            text += &format!("SKIPPED: {}: {why}\n", side.who.title());
        }
    }
    text
}

/// How many times more requests a second of CPU time buys with the ring.
fn per_cpu_second(sides: &[Side]) -> Option<f64> {
    let (ring, threads) = (Who::Engine(Backend::IoUring), Who::Engine(Backend::Cpu));
    ratio(sides, ring, threads, |round| 1.0 / cpu_ns(round))
}

/// The numbers of all cases: flat, units last.
#[derive(Default)]
pub(super) struct Numbers {
    numbers: Map<String, Value>,
}

impl Numbers {
    /// Adds a case.
    pub(super) fn add(&mut self, case: Case, sides: &[Side]) {
        let case_name = case.name();
        let mut put = |name: String, value: Option<f64>| {
            // What was not measured is not there: a benchmark's line holds finite numbers only.
            let value = value.filter(|value| value.is_finite());
            let value = value.and_then(serde_json::Number::from_f64);
            if let Some(value) = value {
                self.numbers
                    .insert(format!("{case_name}.{name}"), Value::Number(value));
            }
        };
        put("depth".into(), Some(case.shape.depth.into()));
        for side in sides.iter().filter(|side| side.gone.is_none()) {
            let (medians, name) = (Medians::of(case, side), side.who.name());
            put(format!("{name}_threads"), Some(side.threads.into()));
            put(format!("{name}_mb_s"), Some(medians.mb_per_s));
            put(format!("{name}_iops"), Some(medians.iops));
            put(format!("{name}_cpu_ns_per_request"), Some(medians.cpu_ns));
            put(
                format!("{name}_syscalls_per_request"),
                side.syscalls.as_ref().ok().copied(),
            );
            if side.who != Who::Fio {
                put(
                    format!("{name}_to_fio_ratio"),
                    ratio(sides, side.who, Who::Fio, rate),
                );
                put(
                    format!("{name}_to_fio_cpu_ratio"),
                    ratio(sides, side.who, Who::Fio, cpu_ns),
                );
            }
        }
        put(
            "io_uring_to_cpu_requests_per_cpu_s_ratio".into(),
            per_cpu_second(sides),
        );
    }

    /// The line.
    pub(super) fn json(self) -> Value {
        Value::Object(self.numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, fio, load::Shape, subject::Subject};
    use super::*;

    fn side<'a>(subject: &'a Subject, who: Who, rounds: &[(f64, f64)]) -> Side<'a> {
        let case = case();
        let round = |&(requests, cpu_seconds): &(f64, f64)| Round {
            requests,
            seconds: 1.0,
            cpu_seconds,
        };
        Side {
            who,
            threads: 1,
            rounds: rounds.iter().map(round).collect(),
            syscalls: Ok(0.125),
            gone: None,
            kind: Kind::Fio(fio::Job {
                subject,
                shape: case.shape,
                temperature: case.temperature,
                threads: 1,
                fixed_buffers: false,
            }),
        }
    }

    fn case() -> Case {
        Case {
            temperature: Temperature::Warm,
            shape: Shape {
                request_bytes: 4096,
                depth: 8,
            },
        }
    }

    #[test]
    fn ratios_are_medians_of_ratios() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let subject = Subject::open(Some(file.path()), None).unwrap();
        let ring = Who::Engine(Backend::IoUring);
        let sides = [
            side(
                &subject,
                Who::Fio,
                &[(100.0, 1.0), (10.0, 1.0), (1000.0, 1.0)],
            ),
            side(&subject, ring, &[(200.0, 1.0), (5.0, 1.0), (1500.0, 1.0)]),
        ];
        // 2, 0.5 and 1.5: neither the ratio of medians (2) nor of sums.
        assert_eq!(ratio(&sides, ring, Who::Fio, rate), Some(1.5));
        assert_eq!(ratio(&sides, ring, Who::FioFixed, rate), None);
        let mut numbers = Numbers::default();
        numbers.add(case(), &sides);
        let json = numbers.json();
        assert_eq!(json["warm_4k.io_uring_to_fio_ratio"], 1.5);
        assert_eq!(json["warm_4k.fio_syscalls_per_request"], 0.125);
        let table = table(case(), &sides[1..]);
        assert!(
            table.contains("ds io_uring") && table.contains(" -"),
            "{table}"
        );
    }

    #[test]
    fn a_side_that_took_no_cpu_time_is_no_infinity() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let subject = Subject::open(Some(file.path()), None).unwrap();
        let sides = [
            side(&subject, Who::Fio, &[(100.0, 0.0)]),
            side(&subject, Who::FioFixed, &[(100.0, 1.0)]),
        ];
        assert_eq!(ratio(&sides, Who::FioFixed, Who::Fio, cpu_ns), None);
    }
}
