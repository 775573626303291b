//! A report as a picture: one row a stage, on a common axis of time.
//!
//! Self-contained SVG 1.1 that any browser opens, legible on light and dark ground. All
//! lengths are in tenths of a pixel, so that whole numbers do.

use std::fmt::Write as _;

use super::{Outcome, Report, StageReport, seconds};

/// Width of the whole picture.
const WIDTH: u64 = 10_000;
/// Where the axis of time begins: the stages' names are left of it.
const LEFT: u64 = 1_600;
/// Length of the axis; what is right of it is margin.
const AXIS: u64 = 8_200;
/// Height of the title.
const TOP: u64 = 700;
/// Height of a row.
const ROW: u64 = 240;
/// Height of a bar.
const BAR: u64 = 160;
/// Width of one letter of the labels, about.
const LETTER: u64 = 66;
/// Letters in a line of the warnings.
const LINE: usize = 140;

/// Colours for light ground, and for dark where the reader's browser asks for it.
const STYLE: &str = "\
text{font:11px ui-monospace,Menlo,Consolas,monospace;fill:#24292f}\
.title{font-size:15px;font-weight:bold}.dim{fill:#57606a}.ground{fill:#fff}\
.grid{stroke:#d0d7de;stroke-width:1}.before{fill:#afb8c1}.ok{fill:#4c8dcf}\
.warned{fill:#d4a017}.failed{fill:#cf4a4a}.running{fill:#8250df}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.dim{fill:#9198a1}.ground{fill:#0d1117}\
.grid{stroke:#30363d}.before{fill:#57606a}}";

/// The report as an SVG document.
pub fn svg(report: &Report) -> String {
    let scale = Scale::of(report);
    let notes = notes(report);
    let rows = u64::try_from(report.stages.len()).unwrap_or(0).saturating_add(1);
    let bottom = TOP + rows * ROW;
    let height = bottom + 400 + u64::try_from(notes.len()).unwrap_or(0) * 180;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" \
         viewBox=\"0 0 {w} {h}\" role=\"img\">\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{w}\" height=\"{h}\"/>\n",
        w = px(WIDTH),
        h = px(height),
    );
    text(&mut out, "title", (120, 260), &title(report));
    text(&mut out, "dim", (120, 460), &subtitle(report));
    scale.draw(&mut out, bottom);
    let before = scale.start_of(report);
    bar(
        &mut out,
        &scale,
        0,
        &Bar {
            name: "before rsinit",
            class: "before",
            span: (0, before),
            label: &seconds(before),
            note: "firmware's kernel and the initramfs, up to the first stage",
        },
    );
    for (row, stage) in (1..).zip(&report.stages) {
        let end = stage.end_ms.unwrap_or(scale.end);
        bar(
            &mut out,
            &scale,
            row,
            &Bar {
                name: &stage.name,
                class: stage.outcome.word(),
                span: (stage.start_ms, end),
                label: &label(stage),
                note: &stage.note,
            },
        );
    }
    for (row, (class, line)) in (0..).zip(&notes) {
        text(&mut out, class, (120, bottom + 480 + row * 180), line);
    }
    out.push_str("</svg>\n");
    out
}

/// The axis of time: from the kernel's start to the last stage's end, in ms.
struct Scale {
    end: u64,
    step: u64,
}

impl Scale {
    fn of(report: &Report) -> Self {
        let starts = report.stages.iter().map(|stage| stage.start_ms).max();
        let end = report.end_ms().max(starts).unwrap_or(0).max(1);
        let mut steps = (0..17).flat_map(|power| [1, 2, 5].map(|digit| digit * 10u64.pow(power)));
        Self { end, step: steps.find(|step| end / step <= 12).unwrap_or(end) }
    }

    /// When the first stage began.
    fn start_of(&self, report: &Report) -> u64 {
        report.stages.iter().map(|stage| stage.start_ms).min().unwrap_or(self.end)
    }

    fn x(&self, ms: u64) -> u64 {
        let part = u128::from(ms.min(self.end)) * u128::from(AXIS) / u128::from(self.end);
        LEFT + u64::try_from(part).unwrap_or(AXIS)
    }

    /// A line and a number at each step.
    fn draw(&self, out: &mut String, bottom: u64) {
        for tick in 0..=self.end / self.step.max(1) {
            let (x, ms) = (px(self.x(tick * self.step)), tick * self.step);
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"/>",
                px(TOP - 60),
                px(bottom)
            );
            let number = if self.step < 1000 { seconds(ms) } else { format!("{} s", ms / 1000) };
            let _ = writeln!(
                out,
                "<text class=\"dim\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{number}</text>",
                px(bottom + 180)
            );
        }
    }
}

/// One row.
struct Bar<'a> {
    name: &'a str,
    class: &'a str,
    /// From and to, in ms.
    span: (u64, u64),
    label: &'a str,
    /// Shown where the pointer rests.
    note: &'a str,
}

fn bar(out: &mut String, scale: &Scale, row: u64, bar: &Bar<'_>) {
    let top = TOP + row * ROW;
    let base = top + 125;
    let (from, to) = (scale.x(bar.span.0), scale.x(bar.span.1));
    let _ = writeln!(out, "<g><title>{}: {}</title>", escaped(bar.name), escaped(bar.note));
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
        px(LEFT - 100),
        px(base),
        escaped(bar.name)
    );
    let _ = writeln!(
        out,
        "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"2\"/>",
        bar.class,
        px(from),
        px(top),
        px(to.saturating_sub(from).max(20)),
        px(BAR)
    );
    // Right of the bar where there is room, else left of it.
    let wide = LETTER * u64::try_from(bar.label.chars().count()).unwrap_or(0);
    let (x, anchor) = match to + 60 + wide <= WIDTH {
        true => (to + 60, "start"),
        false => (from.saturating_sub(60), "end"),
    };
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>\n</g>",
        px(x),
        px(base),
        escaped(bar.label)
    );
}

fn text(out: &mut String, class: &str, (x, y): (u64, u64), line: &str) {
    let _ = writeln!(
        out,
        "<text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>",
        px(x),
        px(y),
        escaped(line)
    );
}

fn title(report: &Report) -> String {
    let node = report.node.hostname.as_ref().or(report.node.mac.as_ref());
    let node = node.map_or("a node", String::as_str);
    let end = report.end_ms().map(seconds).unwrap_or_default();
    match report.outcome {
        Outcome::Failed => format!("{node}: the boot failed after {end}"),
        Outcome::Running => format!("{node}: booting"),
        Outcome::Ok | Outcome::Warned => {
            format!("{node}: handed over {end} after its kernel started")
        }
    }
}

fn subtitle(report: &Report) -> String {
    let from = report.node.server.as_deref().unwrap_or("no server");
    format!("from {from}, Linux {}, rsinit {}", report.kernel, report.agent)
}

/// How long it took, and where it moved bytes, how many and how fast.
fn label(stage: &StageReport) -> String {
    let Some(end) = stage.end_ms else { return "not over".to_owned() };
    let took = end.saturating_sub(stage.start_ms);
    let mut label = seconds(took);
    if let Some(bytes) = stage.bytes.filter(|bytes| *bytes > 0) {
        // Writing to a String cannot fail.
        let _ = match bytes {
            0..1_000_000 => write!(label, ", {} kB", bytes.div_ceil(1000)),
            _ => write!(label, ", {}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
        };
        if let Some(rate) = (bytes / 1000).checked_div(took).filter(|rate| *rate > 0) {
            let _ = write!(label, ", {rate} MB/s");
        }
    }
    match stage.retries {
        0 => {}
        1 => label.push_str(", 1 retry"),
        many => _ = write!(label, ", {many} retries"),
    }
    label
}

/// Warnings and the error, as lines below the picture.
fn notes(report: &Report) -> Vec<(&'static str, String)> {
    let warnings = report.warnings.iter().map(|warning| ("dim", format!("warning: {warning}")));
    let error = report.error.iter().map(|error| ("title", format!("failed: {error}")));
    let short = |(class, line): (&'static str, String)| {
        let cut = line.chars().count() > LINE;
        let line: String = line.chars().take(LINE).collect();
        (class, if cut { format!("{line}…") } else { line })
    };
    warnings.chain(error).map(short).collect()
}

/// Tenths of a pixel as pixels.
fn px(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Text as XML has it. What XML 1.0 has no way to write becomes a question mark.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => out.push('?'),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, start_ms: u64, end_ms: u64, bytes: Option<u64>) -> StageReport {
        StageReport {
            name: name.to_owned(),
            start_ms,
            end_ms: Some(end_ms),
            bytes,
            retries: 0,
            outcome: Outcome::Ok,
            note: String::new(),
        }
    }

    fn report(stages: Vec<StageReport>) -> Report {
        let mut report = Report::new("6.1.0".to_owned());
        report.stages = stages;
        report.finish(None);
        report
    }

    /// The attribute of the bar of `name`.
    fn bar_of<'a>(picture: &'a str, name: &str, attribute: &str) -> &'a str {
        let row =
            picture.split("<g>").find(|row| row.contains(&format!("<title>{name}:"))).unwrap();
        let rect = row.split("<rect ").nth(1).unwrap();
        rect.split(&format!(" {attribute}=\"")).nth(1).unwrap().split('"').next().unwrap()
    }

    #[test]
    fn bars_lie_on_one_axis_and_what_overlaps_in_time_overlaps_in_place() {
        let picture = svg(&report(vec![
            stage("image", 10_000, 20_000, Some(500_000_000)),
            stage("disks", 12_500, 15_000, None),
        ]));
        assert_eq!(bar_of(&picture, "image", "x"), "570.0");
        assert_eq!(bar_of(&picture, "image", "width"), "410.0");
        assert_eq!(bar_of(&picture, "disks", "x"), "672.5");
        assert_eq!(bar_of(&picture, "disks", "width"), "102.5");
        assert!(picture.contains(">10.0 s, 500.0 MB, 50 MB/s</text>"), "{picture}");
        assert!(picture.contains(">a node: handed over 20.0 s after its kernel started</text>"));
        assert!(picture.contains(">8 s</text>") && picture.contains(">20 s</text>"), "{picture}");
    }

    #[test]
    fn what_others_wrote_cannot_leave_its_place() {
        let mut report = report(vec![stage("</text><script>", 1, 2, None)]);
        report.stages[0].note = "\"quoted\" & \u{1b}[31m".to_owned();
        report.stages[0].outcome = Outcome::Warned;
        report.warnings.push("<b>'x'</b>".to_owned());
        let picture = svg(&report);
        assert!(
            !picture.contains("<script") && !picture.contains("<b>") && !picture.contains('\u{1b}')
        );
        assert!(picture.contains("&lt;/text&gt;&lt;script&gt;: &quot;quoted&quot; &amp; ?[31m"));
        assert!(picture.contains("warning: &lt;b&gt;&apos;x&apos;&lt;/b&gt;"));
    }

    #[test]
    fn a_boot_that_failed_or_hardly_began_has_a_picture_too() {
        let mut report = report(Vec::new());
        assert!(svg(&report).ends_with("</svg>\n"));
        report.stages.push(StageReport { end_ms: None, ..stage("network", u64::MAX, 0, None) });
        report.finish(Some("network: no carrier".to_owned()));
        let picture = svg(&report);
        assert!(picture.contains(">failed: network: no carrier</text>"), "{picture}");
        assert!(picture.contains(">not over</text>"));
    }
}
