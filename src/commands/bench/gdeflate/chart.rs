//! The figures as a drawing: an SVG of our own, so that nothing is needed to make it or to look at it.
//!
//! Two panels: how fast each codec decodes each class (bars), and how well and how fast each encoder
//! compresses at its levels (curves, the speed on a logarithmic scale). It follows the viewer's light or dark
//! scheme, and names only generic fonts.

use std::fmt::Write;

use super::codec::ENGINE;
use super::measure::{Curve, Point, Row};
use super::report::{Report, codec_at};

const WIDTH: f64 = 960.0;
/// Left edge of the plots; class names and the scale's numbers are left of it.
const LEFT: f64 = 128.0;
/// Right edge; the labels of the longest bars are right of it.
const RIGHT: f64 = 900.0;
const HEAD: f64 = 96.0;
const BAR: f64 = 10.0;
const GROUP_GAP: f64 = 12.0;
const CURVES: f64 = 400.0;

/// A drawing in the making.
struct Drawing {
    svg: String,
    /// Where levels are written already.
    levels: Vec<(f64, f64)>,
}

/// Colours for light and for dark grounds: of the engine and its variants, then of the others as they come.
const COLOURS: [(&str, &str); 8] = [
    ("#1f5fc4", "#5aa2ff"),
    ("#5f93e0", "#3f78c8"),
    ("#93b8ee", "#2f5a96"),
    ("#c2d6f5", "#24446f"),
    ("#c8611a", "#f2a05a"),
    ("#2c8a57", "#5ecb8d"),
    ("#7d4cc0", "#b99af5"),
    ("#b33a6b", "#f280aa"),
];
const ENGINE_COLOURS: usize = 4;

/// Draws the report.
pub(super) fn draw(report: &Report) -> String {
    let codecs = codecs(report);
    let groups = groups(report);
    let bars = groups.iter().map(|(_, bars)| bars.len()).max().unwrap_or(0);
    let group = bars as f64 * BAR + GROUP_GAP;
    let plot = group * groups.len() as f64;
    let curves_top = HEAD + plot + 110.0;
    let curves: Vec<&Curve> = report
        .curves
        .iter()
        .filter(|c| !c.points.is_empty())
        .collect();
    let height = match curves.is_empty() {
        true => HEAD + plot + 50.0,
        false => curves_top + CURVES + 56.0,
    };
    let mut drawing = Drawing::start(height);
    drawing.text(24.0, 34.0, "title", "Decoding 64 KiB tiles, one thread");
    drawing.text(24.0, 54.0, "note", &subtitle(report));
    drawing.legend(&codecs, 78.0);
    drawing.bars(&groups, &codecs, group, plot);
    if !curves.is_empty() {
        drawing.curves(&curves, &codecs, curves_top);
    }
    drawing.finish()
}

/// What the bars leave out.
fn subtitle(report: &Report) -> String {
    let limit = report.means.iter().find(|mean| mean.codec == "memcpy");
    let limit = limit.map(|mean| format!("; a plain copy: {:.1} GB/s", mean.decode.mb_s / 1e3));
    let trivial = report.classes.iter().filter(|class| class.is_trivial());
    let trivial: Vec<&str> = trivial.map(|class| &class.name[..]).collect();
    let trivial = match trivial.is_empty() {
        true => String::new(),
        false => format!("; not drawn: {}", trivial.join(", ")),
    };
    format!(
        "{}; level {}, medians of {}; behind the bars: MB/s (compression ratio){}{trivial}",
        report.processor,
        report.level,
        report.decodes,
        limit.unwrap_or_default()
    )
}

/// The codecs with a bar, as a legend names them: name and level.
fn codecs(report: &Report) -> Vec<(String, Option<u8>)> {
    let rows = report.classes.first().map_or(&[][..], |class| &class.rows);
    let drawn = rows.iter().filter(|row| row.codec != "memcpy");
    drawn.map(|row| (row.codec.clone(), row.level)).collect()
}

/// A bar: the codec, MB/s, ratio.
type Bar = (String, f64, f64);

/// The means, then every class that is not trivial.
fn groups(report: &Report) -> Vec<(String, Vec<Bar>)> {
    let drawn = |codec: &str| codec != "memcpy";
    let mut groups = Vec::new();
    let means = report.means.iter().filter(|mean| drawn(&mean.codec));
    let means: Vec<Bar> = means
        .map(|mean| (mean.codec.clone(), mean.decode.mb_s, mean.ratio))
        .collect();
    if !means.is_empty() {
        groups.push(("geometric mean".to_owned(), means));
    }
    for class in report.classes.iter().filter(|class| !class.is_trivial()) {
        let bar = |row: &Row| (row.codec.clone(), row.decode.mb_s, row.ratio());
        let rows = class.rows.iter().filter(|row| drawn(&row.codec));
        groups.push((class.name.clone(), rows.map(bar).collect()));
    }
    groups
}

/// Which of [`COLOURS`] a codec has.
fn colour(codec: &str, codecs: &[(String, Option<u8>)]) -> usize {
    let is_engine = |codec: &str| codec.starts_with(ENGINE);
    let alike = codecs.iter().map(|(name, _)| &name[..]);
    let alike = alike.filter(|name| is_engine(name) == is_engine(codec));
    let place = alike.take_while(|&name| name != codec).count();
    if is_engine(codec) {
        place % ENGINE_COLOURS
    } else {
        ENGINE_COLOURS + place % (COLOURS.len() - ENGINE_COLOURS)
    }
}

/// A round step that cuts 0 to `max` in at most six.
fn step(max: f64) -> f64 {
    let max = max.max(1e-9);
    let unit = 10f64.powf((max / 6.0).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * unit);
    let enough = steps.into_iter().find(|step| max / step <= 6.0);
    enough.unwrap_or(10.0 * unit)
}

impl Drawing {
    fn start(height: f64) -> Drawing {
        let mut style = String::new();
        let rules = |style: &mut String, dark: bool| {
            let pick = |light: &'static str, night: &'static str| if dark { night } else { light };
            let (ground, ink) = (pick("#ffffff", "#0d1117"), pick("#1f2328", "#e6edf3"));
            let (faint, line) = (pick("#59636e", "#9198a1"), pick("#d8dee4", "#30363d"));
            let _ = write!(
                style,
                ".ground{{fill:{ground}}}text{{fill:{ink}}}.note,.tick{{fill:{faint}}}\
                 .grid{{stroke:{line}}}.dot{{stroke:{ground}}}"
            );
            for (at, &(light, night)) in COLOURS.iter().enumerate() {
                let colour = pick(light, night);
                let _ = write!(style, ".f{at}{{fill:{colour}}}.l{at}{{stroke:{colour}}}");
            }
        };
        rules(&mut style, false);
        style += "@media(prefers-color-scheme:dark){";
        rules(&mut style, true);
        style += "}text{font-family:system-ui,sans-serif;font-size:12px}.title{font-size:17px;\
                  font-weight:600}.tick,.note{font-size:11px}.value{font-size:9px}.strong\
                  {font-weight:600}.end{text-anchor:end}.middle{text-anchor:middle}\
                  .line{fill:none;stroke-width:2}";
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             width=\"{WIDTH}\" height=\"{height:.0}\" role=\"img\" \
             aria-label=\"Speeds and ratios of codecs\">\n<style>{style}</style>\n\
             <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height:.0}\" rx=\"8\"/>\n"
        );
        let levels = Vec::new();
        Drawing { svg, levels }
    }

    fn finish(mut self) -> String {
        self.svg += "</svg>\n";
        self.svg
    }

    fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let text = escape(text);
        let _ = writeln!(
            self.svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{text}</text>"
        );
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.svg,
            "<line class=\"grid\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        );
    }

    fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, colour: usize) {
        let _ = writeln!(
            self.svg,
            "<rect class=\"f{colour}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\" rx=\"1\"/>"
        );
    }

    /// A square and a name for each codec, in one line.
    fn legend(&mut self, codecs: &[(String, Option<u8>)], y: f64) {
        let mut x = 24.0;
        for (codec, level) in codecs {
            let name = codec_at(codec, *level);
            self.rect(x, y - 9.0, 10.0, 10.0, colour(codec, codecs));
            self.text(x + 15.0, y, "", &name);
            // About as wide as the letters of any sans-serif.
            x += 36.0 + 6.6 * name.chars().count() as f64;
        }
    }

    fn bars(
        &mut self,
        groups: &[(String, Vec<Bar>)],
        codecs: &[(String, Option<u8>)],
        group: f64,
        plot: f64,
    ) {
        let all = groups.iter().flat_map(|(_, bars)| bars);
        let max = all.map(|&(_, mb_s, _)| mb_s).fold(1.0, f64::max);
        let step = step(max);
        // The label of the longest bar has room before the edge.
        let at = |mb_s: f64| LEFT + (RIGHT - LEFT - 50.0) * mb_s / max;
        let mut tick = 0.0;
        while tick <= max {
            self.line((at(tick), HEAD), (at(tick), HEAD + plot));
            self.text(at(tick), HEAD + plot + 15.0, "tick middle", &number(tick));
            tick += step;
        }
        self.text(
            RIGHT,
            HEAD + plot + 32.0,
            "note end",
            "content, MB/s of processor time; longer is faster",
        );
        for (place, (name, bars)) in groups.iter().enumerate() {
            let top = HEAD + group * place as f64 + GROUP_GAP / 2.0;
            let middle = top + bars.len() as f64 * BAR / 2.0 + 4.0;
            let class = if place == 0 { "end strong" } else { "end" };
            self.text(LEFT - 8.0, middle, class, &short(name));
            for (place, (codec, mb_s, ratio)) in bars.iter().enumerate() {
                let y = top + place as f64 * BAR;
                self.rect(LEFT, y, at(*mb_s) - LEFT, BAR - 1.0, colour(codec, codecs));
                let label = format!("{mb_s:.0}  ({ratio:.2})");
                self.text(at(*mb_s) + 4.0, y + BAR - 2.0, "value", &label);
            }
        }
    }

    fn curves(&mut self, curves: &[&Curve], codecs: &[(String, Option<u8>)], top: f64) {
        self.text(
            24.0,
            top - 34.0,
            "title",
            "Encoding: ratio and speed, level by level",
        );
        self.text(
            24.0,
            top - 14.0,
            "note",
            "geometric means over tiles of each class; numbers are levels; up and right is better",
        );
        let scale = Scale::of(curves, top);
        self.scales(&scale, top);
        for curve in curves {
            self.curve(curve, &scale, colour(&curve.codec, codecs));
        }
    }

    fn curve(&mut self, curve: &Curve, scale: &Scale, colour: usize) {
        let places: Vec<(f64, f64)> = curve.points.iter().map(|p| scale.place(p)).collect();
        let path: Vec<String> = places
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            self.svg,
            "<polyline class=\"line l{colour}\" points=\"{}\"/>",
            path.join(" ")
        );
        // Half of the curves have their numbers below, so that neighbours keep apart.
        let below = colour >= ENGINE_COLOURS && colour.is_multiple_of(2);
        let apart = if below { 14.0 } else { -7.0 };
        let class = format!("value middle f{colour}");
        for (point, (x, y)) in curve.points.iter().zip(places) {
            let _ = writeln!(
                self.svg,
                "<circle class=\"dot f{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"
            );
            self.level(x, y + apart, &class, point.level);
        }
    }

    /// A level's number, unless it would stand on another: the lines tell which levels are between.
    fn level(&mut self, x: f64, y: f64, class: &str, level: u8) {
        let near = |&(other_x, other_y): &(f64, f64)| {
            (x - other_x).abs() < 12.0 && (y - other_y).abs() < 9.0
        };
        if !self.levels.iter().any(near) {
            self.levels.push((x, y));
            self.text(x, y, class, &level.to_string());
        }
    }

    /// The axes of the curves, with round numbers.
    fn scales(&mut self, scale: &Scale, top: f64) {
        let bottom = top + CURVES;
        let mut decade = 10f64.powf(scale.slow.log10().floor());
        while decade <= scale.fast {
            for mb_s in [1.0, 2.0, 5.0].map(|part| part * decade) {
                if (scale.slow..=scale.fast).contains(&mb_s) {
                    let x = scale.x(mb_s);
                    self.line((x, top), (x, bottom));
                    self.text(x, bottom + 15.0, "tick middle", &number(mb_s));
                }
            }
            decade *= 10.0;
        }
        let step = step(scale.high - scale.low);
        let mut ratio = (scale.low / step).ceil() * step;
        while ratio <= scale.high {
            let y = scale.y(ratio);
            self.line((LEFT, y), (RIGHT, y));
            self.text(LEFT - 8.0, y + 4.0, "tick end", &format!("{ratio:.2}"));
            ratio += step;
        }
        self.text(
            RIGHT,
            bottom + 34.0,
            "note end",
            "content, MB/s of processor time, logarithmic",
        );
        let middle = top + CURVES / 2.0;
        let _ = writeln!(
            self.svg,
            "<text transform=\"translate(60 {middle:.1}) rotate(-90)\" class=\"note middle\">\
             compression ratio</text>"
        );
    }
}

/// The scales of the curves.
struct Scale {
    slow: f64,
    fast: f64,
    low: f64,
    high: f64,
    top: f64,
}

impl Scale {
    /// So that all points are inside, with a margin.
    fn of(curves: &[&Curve], top: f64) -> Scale {
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let range = |of: fn(&Point) -> f64| {
            let (low, high) = (f64::INFINITY, 0.0);
            points().fold((low, high), |(low, high), p| {
                (of(p).min(low), of(p).max(high))
            })
        };
        let (slow, fast) = range(|point| point.mb_s);
        let (low, high) = range(|point| point.ratio);
        let margin = ((high - low) * 0.1).max(0.01);
        Scale {
            slow: slow / 1.25,
            fast: fast * 1.25,
            low: low - margin,
            high: high + margin,
            top,
        }
    }

    fn x(&self, mb_s: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (mb_s / self.slow).ln() / (self.fast / self.slow).ln()
    }

    fn y(&self, ratio: f64) -> f64 {
        self.top + CURVES * (self.high - ratio) / (self.high - self.low)
    }

    fn place(&self, point: &Point) -> (f64, f64) {
        (self.x(point.mb_s), self.y(point.ratio))
    }
}

/// `250`, `0.5`, `1500`.
fn number(value: f64) -> String {
    format!("{}", (value * 1000.0).round() / 1000.0)
}

/// A name that fits beside the plot.
fn short(name: &str) -> String {
    const CHARS_MAX: usize = 16;
    if name.chars().count() <= CHARS_MAX {
        return name.to_owned();
    }
    let start: String = name.chars().take(CHARS_MAX - 1).collect();
    start + "…"
}

/// As text of XML, which knows no control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '"' => escaped += "&quot;",
            c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_few() {
        for (max, round) in [
            (1.0, 0.2),
            (6.0, 1.0),
            (7.0, 2.0),
            (1400.0, 250.0),
            (0.31, 0.1),
        ] {
            assert!(
                (step(max) / round - 1.0).abs() < 1e-9,
                "{max}: {}",
                step(max)
            );
        }
    }

    #[test]
    fn names_are_text_whatever_is_in_them() {
        assert_eq!(escape("a<b>&\"\u{1b}"), "a&lt;b&gt;&amp;&quot;?");
        assert_eq!(short("a name that is too long"), "a name that is …");
    }

    #[test]
    fn colours_differ_and_the_engine_keeps_its_own() {
        let names = [
            "ds-core",
            "ds-core portable",
            "reference",
            "libdeflate",
            "zlib-rs",
            "zstd",
        ];
        let codecs: Vec<_> = names.map(|name| (name.to_owned(), None)).into();
        let colours = names.map(|name| colour(name, &codecs));
        assert_eq!(colours, [0, 1, 4, 5, 6, 7]);
    }
}
