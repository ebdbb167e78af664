//! As much of SVG as the pictures of docs/limits.md need: text, bars, lines, panels
//! with axes. Their colours follow the reader's dark or light.

use std::fmt::Write;

/// What GitHub shows without shrinking it.
pub(super) const WIDTH: f64 = 760.0;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}.title,.group{font-weight:600}.end{text-anchor:end}.mid{text-anchor:middle}.small{font-size:11px;fill:#59636e}
.ours{fill:#0969da}.other{fill:#8c959f}.axis{stroke:#8c959f;stroke-width:1}.zero{stroke:#8c959f;stroke-dasharray:3 3}
path{fill:none;stroke-width:1.6;stroke-linejoin:round}.l-ours{stroke:#0969da}.l-real{stroke:#1a7f37}.l-other{stroke:#9a6700}.l-bad{stroke:#cf222e}.k-ours{fill:#0969da}.k-real{fill:#1a7f37}.k-other{fill:#9a6700}.k-bad{fill:#cf222e}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.ours,.k-ours{fill:#58a6ff}.other{fill:#6e7681}.axis,.zero{stroke:#6e7681}.l-ours{stroke:#58a6ff}.l-real{stroke:#3fb950}.k-real{fill:#3fb950}.l-other{stroke:#d29922}.k-other{fill:#d29922}.l-bad{stroke:#f85149}.k-bad{fill:#f85149}}";

/// A picture, drawn from the top down.
pub(super) struct Picture {
    title: String,
    body: String,
    /// How far down it is drawn.
    pub(super) y: f64,
}

/// A line of a panel: its colour's class, its name, and its points.
pub(super) struct Line {
    pub(super) class: &'static str,
    pub(super) name: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

/// Where a panel's axes reach, and the marks at them.
pub(super) struct Axes {
    pub(super) x: (f64, f64),
    pub(super) y: (f64, f64),
    pub(super) x_marks: Vec<(f64, String)>,
    pub(super) y_marks: Vec<(f64, String)>,
}

impl Picture {
    pub(super) fn new(title: &str) -> Self {
        let mut picture = Self { title: title.to_owned(), body: String::new(), y: 16.0 };
        picture.text(0.0, 16.0, title, "title");
        picture
    }

    pub(super) fn text(&mut self, x: f64, y: f64, content: &str, class: &str) {
        let content = content.replace('&', "&amp;").replace('<', "&lt;");
        self.add(format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{content}</text>"#));
    }

    /// Bars beside their names, on one scale from nothing to the longest.
    pub(super) fn bars(&mut self, group: &str, bars: &[(&str, f64, String)]) {
        const NAMES: f64 = 160.0;
        const VALUES: f64 = 110.0;
        self.y += 28.0;
        self.text(0.0, self.y, group, "group");
        self.y += 6.0;
        let most = bars.iter().map(|(_, value, _)| *value).fold(f64::MIN_POSITIVE, f64::max);
        for (place, (name, value, told)) in bars.iter().enumerate() {
            let width = (value / most * (WIDTH - NAMES - VALUES)).max(1.0);
            let class = if place == 0 { "ours" } else { "other" };
            self.text(NAMES - 8.0, self.y + 12.0, name, "end");
            let y = self.y;
            self.add(format_args!(
                r#"<rect class="{class}" x="{NAMES}" y="{y:.1}" width="{width:.1}" height="13" rx="2"/>"#
            ));
            self.text(NAMES + width + 6.0, self.y + 12.0, told, "");
            self.y += 16.0;
        }
    }

    /// The names of lines, in their colours.
    pub(super) fn key(&mut self, lines: &[Line]) {
        self.y += 22.0;
        let mut x = 0.0;
        for line in lines {
            self.text(x, self.y, "■", &format!("k-{}", line.class));
            self.text(x + 16.0, self.y, line.name, "");
            // Some 7 a letter at this size.
            x += 34.0 + 6.7 * line.name.chars().count() as f64;
        }
    }

    /// Lines over each other, with a dashed line at zero.
    pub(super) fn panel(
        &mut self,
        (left, width): (f64, f64),
        height: f64,
        title: &str,
        axes: &Axes,
        lines: &[Line],
    ) {
        let top = self.y + if title.is_empty() { 12.0 } else { 30.0 };
        if !title.is_empty() {
            self.text(left, top - 10.0, title, "group");
        }
        let x_at = |x: f64| left + (x - axes.x.0) / (axes.x.1 - axes.x.0) * width;
        let y_at = |y: f64| top + (axes.y.1 - y) / (axes.y.1 - axes.y.0) * height;
        let (right, bottom) = (left + width, top + height);
        for (at, mark) in &axes.y_marks {
            self.text(left - 6.0, y_at(*at) + 4.0, mark, "small end");
        }
        for (at, mark) in &axes.x_marks {
            self.text(x_at(*at), bottom + 15.0, mark, "small mid");
        }
        self.line("axis", (left, top), (left, bottom));
        self.line("axis", (left, bottom), (right, bottom));
        if axes.y.0 < 0.0 {
            self.line("zero", (left, y_at(0.0)), (right, y_at(0.0)));
        }
        for line in lines {
            let mut way = String::new();
            for (x, y) in &line.points {
                let (x, y) = (x_at(*x), y_at(y.clamp(axes.y.0, axes.y.1)));
                let step = if way.is_empty() { 'M' } else { 'L' };
                // Writing to a string does not fail.
                let _ = write!(way, "{step}{x:.1} {y:.1}");
            }
            self.add(format_args!(r#"<path class="l-{}" d="{way}"/>"#, line.class));
        }
    }

    fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.add(format_args!(
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.body, "{element}");
    }

    /// The file's text.
    pub(super) fn done(self) -> String {
        let Self { title, body, y } = self;
        let (title, height) = (title.replace('"', "&quot;"), y + 10.0);
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" width="{WIDTH}" height="{height:.0}" role="img" aria-label="{title}">
<style>{STYLE}</style>
{body}</svg>
"#
        )
    }
}
