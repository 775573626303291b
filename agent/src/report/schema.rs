//! `schema.json` describes every field that the report has, and no other.

use serde_json::{Value, json};

use super::*;

fn schema() -> Value {
    serde_json::from_str(include_str!("schema.json")).unwrap()
}

/// A report in which nothing is left out.
fn full() -> Report {
    let mut report = Report::new("6.1.0".to_owned());
    let some = |text: &str| Some(text.to_owned());
    report.node = NodeReport {
        mac: some("52:54:00:00:00:01"),
        hostname: some("n1"),
        address: some("10.0.0.2"),
        server: some("http://10.0.0.1:9873"),
    };
    report.stages.push(StageReport {
        name: "image".to_owned(),
        start_ms: 1,
        end_ms: Some(2),
        bytes: Some(3),
        retries: 4,
        outcome: Outcome::Ok,
        note: "done".to_owned(),
    });
    report.archives.push(ArchiveReport::new("image", 3, Some([0xab; 32])));
    let hook = HookReport { name: "/etc/h".to_owned(), outcome: Outcome::Failed, status: Some(1) };
    report.hooks.push(hook);
    report.disks = Some(DisksReport {
        volumes: vec![VolumeReport { what: "v".to_owned(), took_ms: 1, error: some("e") }],
        mounts: vec!["/scratch".to_owned()],
        moved: vec![MovedReport { folder: "/tmp".to_owned(), entries: 1, bytes: 2 }],
    });
    report.warnings.push("w".to_owned());
    report.next_step = some("build it");
    report.finish(some("image: cut"));
    report
}

/// What in `value` is not as `schema` says, in the words of JSON Schema that are used here.
fn check(root: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let schema = match schema.get("$ref").and_then(Value::as_str) {
        Some(name) => root.pointer(name.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    let is = match schema["type"].as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("{at}: the test knows no type {other}"),
    };
    if !is {
        return wrong.push(format!("{at}: {value} is no {}", schema["type"]));
    }
    if schema.get("enum").is_some_and(|words| !words.as_array().unwrap().contains(value)) {
        wrong.push(format!("{at}: {value} is not in {}", schema["enum"]));
    }
    for item in value.as_array().into_iter().flatten() {
        check(root, &schema["items"], item, at, wrong);
    }
    let Some(fields) = value.as_object() else { return };
    let properties = schema["properties"].as_object().unwrap();
    for name in schema["required"].as_array().unwrap() {
        if !fields.contains_key(name.as_str().unwrap()) {
            wrong.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, value) in fields {
        match properties.get(name) {
            Some(schema) => check(root, schema, value, &format!("{at}.{name}"), wrong),
            None => wrong.push(format!("{at}: {name} is not described")),
        }
    }
}

fn faults(value: &Value) -> Vec<String> {
    let (schema, mut wrong) = (schema(), Vec::new());
    check(&schema, &schema, value, "report", &mut wrong);
    wrong
}

/// Every object of the schema, by its place.
fn objects(schema: &Value) -> Vec<&Value> {
    let defs = schema["$defs"].as_object().unwrap().values();
    defs.chain([schema]).filter(|one| one["type"] == "object").collect()
}

#[test]
fn every_field_of_a_report_is_described_and_has_its_type() {
    assert_eq!(faults(&json!(full())), Vec::<String>::new());
    let mut least = Report::new(String::new());
    least.finish(None);
    assert_eq!(faults(&json!(least)), Vec::<String>::new());
}

#[test]
fn every_field_that_is_described_exists_and_says_what_it_is() {
    let (schema, text) = (schema(), json!(full()).to_string());
    for object in objects(&schema) {
        for (name, field) in object["properties"].as_object().unwrap() {
            assert!(text.contains(&format!("\"{name}\":")), "no report has {name}");
            assert!(field["description"].is_string(), "{name} has no description");
        }
    }
}

#[test]
fn a_report_that_is_not_as_described_is_found_out() {
    for (place, wrong) in [
        ("/outcome", json!("fine")),
        ("/stages/0/start_ms", json!("1")),
        ("/archives/0", json!({"stage": "image"})),
        ("/node", json!({"secret": "x"})),
    ] {
        let mut report = json!(full());
        *report.pointer_mut(place).unwrap() = wrong;
        assert_eq!(faults(&report).len(), 1, "{place}: {:?}", faults(&report));
    }
}

#[test]
fn a_report_of_an_older_agent_is_read() {
    let old = json!({"schema": 1, "agent": "0.1.0", "kernel": "6.1", "outcome": "ok",
        "stages": [], "warnings": []});
    let report: Report = serde_json::from_value(old).unwrap();
    assert_eq!((report.archives.len(), report.disks), (0, None));
}
