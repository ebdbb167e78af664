//! The pictures of docs/limits.md, each drawn from what the real machine did.

use limits::message::Priority;
use simulator::rivals::{self, Rival};
use simulator::{Moment, Report, run};

use super::curves::{self, Mark};
use super::svg::{Axes, Line, Picture, WIDTH};
use super::{Found, Row, read};

/// A file's name and text.
type File = (&'static str, String);

/// All of them. `found` is what the scenarios came to.
pub(super) fn all(found: &[Found]) -> Result<Vec<File>, String> {
    let looks = looks()?;
    Ok(vec![
        ("limits-level.svg", level(&looks)),
        ("limits-mirror.svg", mirror(&looks)),
        ("limits-rivals.svg", rivals(found)?),
        ("limits-pacing.svg", pacing()?),
        ("limits-ahead.svg", ahead()?),
    ])
}

/// The scenario that the first two pictures are of, and the end of what they show.
const SCENARIO: &str = "saturated-output";
const LOOK_S: u64 = 600;

/// One account by its seconds, under each way to share it: the Gate first.
struct Looks {
    otpm: f64,
    ways: Vec<(&'static str, Report)>,
}

fn looks() -> Result<Looks, String> {
    let mut scenario = read(SCENARIO)?.scenario(0);
    scenario.looks = true;
    scenario.span_ms = LOOK_S * 1_000;
    let mut ways = vec![("Tollgate", run(&scenario))];
    ways.extend(Rival::ALL.map(|rival| (rival.name(), rivals::run(rival, &scenario))));
    Ok(Looks { otpm: scenario.limits.otpm as f64, ways })
}

fn level(looks: &Looks) -> String {
    let mut picture = Picture::new(
        "What the provider's output bucket holds while 1.5 times its limit is asked for",
    );
    let (low, high) = (-0.5 * looks.otpm, looks.otpm);
    let told = |tokens: f64| format!("{:.0}k", tokens / 1_000.0);
    let marks = [low, 0.0, high].map(|at| (at, told(at)));
    let minutes = (0..=LOOK_S / 60).step_by(2);
    let axes = Axes {
        x: (0.0, LOOK_S as f64 / 60.0),
        y: (low, high),
        x_marks: minutes.map(|at| (at as f64, format!("{at} min"))).collect(),
        y_marks: marks.to_vec(),
    };
    for (place, (who, report)) in looks.ways.iter().enumerate() {
        let class = if place == 0 { "ours" } else { "bad" };
        let points = points(&report.moments, |moment| moment.left as f64);
        let title = format!(
            "{who}: {} of {} attempts refused, {}.{} % used",
            report.refused_upstream,
            report.attempts,
            report.output_permille() / 10,
            report.output_permille() % 10,
        );
        let line = Line { class, name: "", points };
        picture.panel((44.0, WIDTH - 70.0), 84.0, &title, &axes, &[line]);
        picture.y += 84.0 + 46.0;
    }
    picture.done()
}

fn mirror(looks: &Looks) -> String {
    const FROM_S: u64 = 60;
    const SPAN_S: u64 = 120;
    let mut picture =
        Picture::new("Two of those minutes: what the Gate lets go, and what is really there");
    let report = &looks.ways[0].1;
    let seconds = FROM_S * 1_000..=(FROM_S + SPAN_S) * 1_000;
    let moments: Vec<Moment> =
        report.moments.iter().filter(|moment| seconds.contains(&moment.at_ms)).copied().collect();
    let lines = [
        Line {
            class: "real",
            name: "in the provider's bucket",
            points: points(&moments, |moment| moment.left as f64),
        },
        Line {
            class: "other",
            name: "the least it comes to if nothing more goes",
            points: points(&moments, |moment| moment.least.unwrap_or_default() as f64),
        },
        Line {
            class: "ours",
            name: "what the Gate lets new ones have",
            points: points(&moments, |moment| moment.free.unwrap_or_default() as f64),
        },
    ];
    let ys = lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y);
    let (low, high) = ys.fold((0.0, 1.0), |(low, high): (f64, f64), y| (low.min(y), high.max(y)));
    // One that is near zero would lie over its mark.
    let apart = |at: &f64| *at == 0.0 || at.abs() > (high - low) / 12.0;
    let ticks = [low, 0.0, high].into_iter().filter(apart);
    let ticks = ticks.map(|at| (at, format!("{:.1}k", at / 1_000.0)));
    let minutes = [0, 30, 60, 90, 120].map(|s| FROM_S + s);
    let axes = Axes {
        x: (FROM_S as f64 / 60.0, (FROM_S + SPAN_S) as f64 / 60.0),
        y: (low, high),
        x_marks: minutes.map(|s| (s as f64 / 60.0, format!("{}:{:02}", s / 60, s % 60))).to_vec(),
        y_marks: ticks.collect(),
    };
    picture.key(&lines);
    picture.panel((44.0, WIDTH - 70.0), 220.0, "", &axes, &lines);
    picture.y += 250.0;
    picture.done()
}

fn points(moments: &[Moment], of: impl Fn(&Moment) -> f64) -> Vec<(f64, f64)> {
    moments.iter().map(|moment| (moment.at_ms as f64 / 60_000.0, of(moment))).collect()
}

/// The questions that one has about a gate, and a scenario that answers each.
fn rivals(found: &[Found]) -> Result<String, String> {
    let mut picture = Picture::new("Tollgate beside what else one could do");
    let mut bars = |name: &str, title: &str, of: &dyn Fn(&Row) -> (f64, String)| {
        let found = found.iter().find(|found| found.scenario == name);
        let rows = &found.ok_or_else(|| format!("{name} was not played"))?.rows;
        let bars: Vec<_> = rows
            .iter()
            .map(|row| {
                let (value, told) = of(row);
                (row.who, value, told)
            })
            .collect();
        picture.bars(title, &bars);
        Ok::<(), String>(())
    };
    let percent = |permille: u64| format!("{}.{} %", permille / 10, permille % 10);
    let used = |row: &Row| (row.used_permille as f64, percent(row.used_permille));
    let visible = |row: &Row| {
        let permille = row.visible_upstream * 1_000 / row.asked.max(1);
        (permille as f64, percent(permille))
    };
    let smallest = |row: &Row| {
        let ms = row.smallest().map_or(0, |flow| flow.wait_p95_ms);
        (ms as f64, format!("{}.{} s", ms / 1_000, ms % 1_000 / 100))
    };
    bars(SCENARIO, "Output limit used, of 1.5 times as much that is asked for", &used)?;
    bars(SCENARIO, "Clients that gave up after the provider's 429s, the same run", &visible)?;
    bars(
        "noisy-neighbour",
        "Beside a tenant at 20 times its share: the others' p95 wait",
        &smallest,
    )?;
    bars("noisy-neighbour", "The same: clients that gave up after the provider's 429s", &visible)?;
    Ok(picture.done())
}

fn pacing() -> Result<String, String> {
    let mut picture =
        Picture::new("How much of a week's budget is open, while nothing of it is used");
    let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let days = days.iter().enumerate().map(|(day, name)| (day as f64 + 0.5, (*name).to_owned()));
    let axes = Axes {
        x: (0.0, 7.0),
        y: (0.0, 1.0),
        x_marks: days.collect(),
        y_marks: vec![(0.0, "0".into()), (0.5, "50 %".into()), (1.0, "100 %".into())],
    };
    let mut lines = Vec::new();
    for (class, name, pace, priority) in [
        ("other", "off", "off", Priority::Normal),
        ("real", "even", "even", Priority::Normal),
        ("ours", "workdays", "workdays", Priority::Normal),
        ("bad", "workdays, to background work", "workdays", Priority::Background),
    ] {
        lines.push(Line { class, name, points: curves::open_in_week(pace, priority)? });
    }
    picture.key(&lines);
    picture.panel((44.0, WIDTH - 70.0), 180.0, "", &axes, &lines);
    picture.y += 210.0;
    Ok(picture.done())
}

fn ahead() -> Result<String, String> {
    let (marks, [written, asked]) = curves::reserve_ahead()?;
    let title = format!(
        "A day's budget of $10: {asked} requests, {written} rows, a pause at 3:00, a lost Gate at 5:00"
    );
    let mut picture = Picture::new(&title);
    let points = |of: fn(&Mark) -> f64| marks.iter().map(|mark| (mark.minute, of(mark))).collect();
    let lines = [
        Line { class: "other", name: "written", points: points(|mark| mark.written) },
        Line { class: "ours", name: "counted by the Gate", points: points(|mark| mark.counted) },
        Line { class: "real", name: "really used", points: points(|mark| mark.real) },
    ];
    let (ends, most) = marks.last().map_or((1.0, 1.0), |mark| (mark.minute, mark.written));
    let axes = Axes {
        x: (0.0, ends),
        y: (0.0, most),
        x_marks: (0..=ends as u32).map(|at| (f64::from(at), format!("{at}:00"))).collect(),
        y_marks: [0.0, most / 2.0, most].map(|at| (at, format!("${at:.2}"))).to_vec(),
    };
    picture.key(&lines);
    picture.panel((44.0, WIDTH - 70.0), 200.0, "", &axes, &lines);
    picture.y += 230.0;
    Ok(picture.done())
}
