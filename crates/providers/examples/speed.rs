//! How fast bodies and streams are read: `cargo run --release -p
//! tollgate-providers --example speed`. Prints megabytes a second, the best of ten.

use std::hint::black_box;
use std::time::Instant;

use providers::anthropic::request::{Api, Scanner};
use providers::anthropic::stream::Meter;

fn main() {
    let prose = "The gate decides, the worker carries; a request is admitted by one message. ";
    let code =
        "    if let Some(level) = bucket.level(now_ms) {\\n        return Err(level);\\n    }\\n";
    let cjk = "网关决定一切，工人只负责搬运。";
    let base64 = "iVBORw0KGgoAAAANSUhEUgAAB4AAAAQ4CAYAAAAA";
    let text = |part: &str| {
        format!(r#"{{"type":"text","text":"{}"}}"#, part.repeat(4_000_000 / part.len()))
    };
    let image = format!(
        r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{}"}}}}"#,
        base64.repeat(100_000)
    );
    let json = r#"{"type":"tool_use","id":"t","name":"f","input":{"rows":[1,2.5,{"id":77,"name":"Ann","ok":true}]}},"#
        .repeat(40_000);
    for (name, block) in [
        ("prose", text(prose)),
        ("code", text(code)),
        ("chinese", text(cjk)),
        ("tool input", json.trim_end_matches(',').to_string()),
        ("image", image),
    ] {
        let body = format!(
            r#"{{"model":"claude-sonnet-5-5","max_tokens":64,"messages":[{{"role":"user","content":[{block}]}}]}}"#
        );
        print_speed(name, body.len(), || {
            let mut scanner = Scanner::new(Api::Messages);
            for window in body.as_bytes().chunks(64 << 10) {
                scanner.feed(window).expect("the body is valid");
            }
            black_box(scanner.finish().expect("the body is valid").input());
        });
    }
    let small = br#"{"model":"claude-sonnet-5-5","max_tokens":64,"messages":[{"role":"user","content":"Say hello to the gate, please."}]}"#;
    per_item("small request", || {
        let mut scanner = Scanner::new(Api::Messages);
        scanner.feed(small).expect("the body is valid");
        black_box(scanner.finish().expect("the body is valid").input());
    });
    let event = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" and then the gate\"}}\n\n";
    let stream = event.repeat(20_000);
    print_speed("stream", stream.len(), || {
        let mut meter = Meter::new();
        stream.as_bytes().chunks(event.len()).for_each(|part| meter.feed(part));
        black_box(meter.content_bytes());
    });
}

fn best(mut run: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..10).map(time).fold(f64::MAX, f64::min)
}

fn print_speed(name: &str, bytes: usize, run: impl FnMut()) {
    println!("{name:14} {:8.0} MB/s", bytes as f64 / best(run) / 1e6);
}

fn per_item(name: &str, mut run: impl FnMut()) {
    let seconds = best(|| (0..10_000).for_each(|_| run())) / 10_000.0;
    println!("{name:14} {:8.0} ns", seconds * 1e9);
}
