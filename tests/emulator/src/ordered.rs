//! JSON whose fields stand in the order in which the API sends them (`type`
//! first): readers of streams rely on it, and a map that sorts would hide that.

use serde::Serialize;

/// JSON text of an object.
macro_rules! object {
    ($($name:literal: $value:expr),* $(,)?) => {
        $crate::ordered::join(&[$(($name, $value)),*])
    };
}
pub(crate) use object;

/// JSON text of one value. What is passed here are strings, numbers, options and
/// parsed JSON, none of which can fail to serialise.
pub(crate) fn json(value: impl Serialize) -> String {
    serde_json::to_string(&value).unwrap_or_else(|_| "null".to_owned())
}

/// JSON text of a list.
pub(crate) fn list(values: impl IntoIterator<Item = String>) -> String {
    let values: Vec<String> = values.into_iter().collect();
    format!("[{}]", values.join(","))
}

pub(crate) fn join(fields: &[(&str, String)]) -> String {
    let mut text = String::from("{");
    for (at, (name, value)) in fields.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push('"');
        text.push_str(name);
        text.push_str("\":");
        text.push_str(value);
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_strings_are_escaped() {
        let text = object! { "type": json("a\"b\n"), "at": list([json(1), object! {}]) };
        assert_eq!(text, r#"{"type":"a\"b\n","at":[1,{}]}"#);
    }
}
