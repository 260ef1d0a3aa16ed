//! Documents held against the schemas beside this folder: types, values, what has to be there, and that nothing else is.

use serde_json::Value;

/// The schemas: as those of JSON Schema, but that an object has no members besides its `properties`, that `values` is the
/// schema of the values of a map, and `schema` the name of another one.
const SCHEMAS: [(&str, &str); 6] = [
    ("ascend-operator", include_str!("../schemas/ascend-operator.json")),
    ("config-map", include_str!("../schemas/config-map.json")),
    ("modelarts-api", include_str!("../schemas/modelarts-api.json")),
    ("pod", include_str!("../schemas/pod.json")),
    ("replica", include_str!("../schemas/replica.json")),
    ("volcano", include_str!("../schemas/volcano.json")),
];

/// What of the document is not as the schema of this name has it, each with its path.
pub fn misfits(name: &str, document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(&schema(name), document, name, &mut found);
    found
}

fn schema(name: &str) -> Value {
    let (_, text) = SCHEMAS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no schema `{name}`"));
    serde_json::from_str(text).unwrap()
}

fn check(rules: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(name) = rules["schema"].as_str() {
        return check(&schema(name), value, path, found);
    }
    let mut wrong = |what: String| found.push(format!("{path}: {what}"));
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if rules["type"].as_str().is_some_and(|wanted| wanted != kind) {
        return wrong(format!("is {kind}, not {}", rules["type"]));
    }
    if rules["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
        wrong(format!("{value} is not one of {}", rules["enum"]));
    }
    if rules["minimum"].as_i64() > value.as_i64() {
        wrong(format!("{value} is below {}", rules["minimum"]));
    }
    let length = value.as_str().map(str::len).or(value.as_array().map(Vec::len)).map(|length| length as u64);
    for (rule, is_broken) in [
        ("minLength", rules["minLength"].as_u64() > length),
        ("minItems", rules["minItems"].as_u64() > length),
        ("maxLength", rules["maxLength"].as_u64().is_some_and(|most| length > Some(most))),
    ] {
        if is_broken {
            wrong(format!("{value} breaks `{rule}`"));
        }
    }
    for name in rules["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            wrong(format!("lacks `{name}`"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match rules["properties"].get(name).or(rules.get("values")) {
            Some(rules) => check(rules, member, &path, found),
            None => found.push(format!("{path}: is unknown")),
        }
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&rules["items"], item, &format!("{path}[{number}]"), found);
    }
}

/// A check that finds nothing wrong would let anything pass.
#[test]
fn what_breaks_a_schema_is_found() {
    let document = serde_json::json!({
        "apiVersion": "v2",
        "kind": "Job",
        "metadata": { "name": "x".repeat(64) },
        "spec": {
            "minAvailable": "2",
            "schedulerName": "volcano",
            "maxRetry": -1,
            "policies": [{ "event": "PodLost", "action": "AbortJob" }],
            "tasks": [{ "name": "", "replicas": 1, "template": {
                "metadata": {}, "spec": { "containers": [], "restart": "Never" },
            } }],
        },
    });
    let found: Vec<String> =
        misfits("volcano", &document).iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
    let pod = "volcano.spec.tasks[0].template.spec";
    let expected = [
        "volcano.apiVersion",
        "volcano.metadata.name",
        "volcano.spec.minAvailable",
        "volcano.spec.maxRetry",
        "volcano.spec.policies[0].event",
        "volcano.spec.tasks[0].name",
        &format!("{pod}.containers"),
        &format!("{pod}.restart"),
    ];
    assert_eq!(found, expected);
    assert_eq!(misfits("replica", &serde_json::json!({})).len(), 3);
}
