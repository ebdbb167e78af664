//! Secrets for local runs: `.dev.vars`, lines of `NAME=value` as wrangler reads them.

use std::collections::BTreeMap;
use std::path::Path;

/// The file's names and values; none where there is no such file.
///
/// # Errors
/// A sentence, where the file is there and cannot be read.
pub(crate) fn load(file: &Path) -> Result<Option<BTreeMap<String, String>>, String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(parse(&text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", file.display())),
    }
}

fn parse(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        Some((name.trim().to_owned(), unquote(value.trim()).to_owned()))
    };
    text.lines().filter_map(line).collect()
}

fn unquote(value: &str) -> &str {
    for quote in ['"', '\'', '`'] {
        if let Some((inner, _)) = value.strip_prefix(quote).and_then(|rest| rest.split_once(quote))
        {
            return inner;
        }
    }
    value.split_once(" #").map_or(value, |(value, _)| value.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_read_as_wrangler_reads_them() {
        let vars = parse("# A=0\nA=1\n export B = \"x # y\" # z\nC='a=b'\nD=x # y\nE=\nnothing\n");
        let read: Vec<_> =
            vars.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, [("A", "1"), ("B", "x # y"), ("C", "a=b"), ("D", "x"), ("E", "")]);
    }
}
