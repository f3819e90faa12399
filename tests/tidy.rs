//! Rules of the source tree that the compiler does not know.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// Which modules of the crate each may name. What stands further down may know what stands above it, except
/// where the reason says otherwise. A target with `::` allows that part only.
const ARROWS: &[(&str, &[&str])] = &[
    // Nouns: they know nothing of the server.
    ("values", &[]),
    ("clock", &[]),
    ("limits", &[]),
    // Only the limits of representations, which settings are.
    ("config", &["values"]),
    ("pause", &[]),
    ("json", &[]),
    ("audit", &["json", "limits"]),
    ("resp", &["limits"]),
    ("store", &["values", "clock", "limits"]),
    ("log", &["config"]),
    ("health", &["config"]),
    ("clients", &["config", "limits", "resp"]),
    ("pubsub", &["clients", "limits", "resp", "values"]),
    ("notifications", &["config", "pubsub", "store"]),
    // A session may own a connection to upstream; it holds it for the tiers and does not look into it.
    (
        "session",
        &[
            "clients",
            "commands::index",
            "commands::spec",
            "config",
            "pubsub",
            "resp",
            "store",
            "tiers::SessionLink",
        ],
    ),
    // A request that waits is run by its row.
    ("waiting", &["commands::index", "commands::spec", "resp", "store"]),
    // Counters are kept per row of the command table, and INFO reports on everything that is shared.
    (
        "stats",
        &[
            "clients",
            "commands::index",
            "config",
            "limits",
            "pause",
            "pubsub",
            "resp",
            "services",
            "store",
        ],
    ),
    // It answers with the texts of errors, and with what is counted.
    ("tier_control", &["commands::error", "stats"]),
    // Every handler may use what is shared; the settings name an eviction policy of the store; namespaces are found by
    // prefix.
    (
        "services",
        &[
            "audit",
            "clients",
            "clock",
            "config",
            "limits",
            "notifications",
            "pause",
            "pubsub",
            "stats",
            "store",
            "tier_control",
            "values::prefix_map",
            "waiting",
        ],
    ),
    // Not the tiers, which wrap the commands; not sockets.
    (
        "commands",
        &[
            "audit",
            "clients",
            "config",
            "limits",
            "pubsub",
            "resp",
            "services",
            "session",
            "stats",
            "store",
            "tier_control",
            "values",
        ],
    ),
    // Of the commands only what a row says, how it is found, the texts of errors, and what a handler is called with: a
    // copy that follows a write runs its row.
    (
        "tiers",
        &[
            "clients",
            "clock",
            "commands::Args",
            "commands::call",
            "commands::error",
            "commands::index",
            "commands::spec",
            "config",
            "limits",
            "resp",
            "services",
            "session",
            "stats",
            "store",
            "tier_control",
            "values",
        ],
    ),
    // What the connections of a thread share: the buffers are those of `net`.
    (
        "worker",
        &["limits", "net", "services", "stats", "store", "tiers"],
    ),
    (
        "dispatch",
        &[
            "clients", "commands", "config", "limits", "resp", "services", "session", "stats", "store",
            "tiers", "waiting", "worker",
        ],
    ),
    // A batch keeps what dispatch has begun to ask of upstream for its requests.
    (
        "net",
        &[
            "clients",
            "config",
            "dispatch",
            "limits",
            "resp",
            "services",
            "session",
            "tiers::Begun",
            "worker",
        ],
    ),
    (
        "http",
        &[
            "commands::index",
            "json",
            "limits",
            "services",
            "stats",
            "store",
            "tier_control",
        ],
    ),
    (
        "server",
        &[
            "clients", "clock", "commands", "config", "dispatch", "http", "limits", "net", "pause", "resp",
            "services", "session", "stats", "store", "tiers", "worker",
        ],
    ),
];

/// Where `unsafe` may stand, and what for.
const UNSAFE: &[(&str, &str)] = &[
    ("src/clock.rs", "reads the processor's time stamp counter"),
    (
        "src/main.rs",
        "exports the symbol that the allocator reads its settings from",
    ),
    (
        "src/stats/allocator.rs",
        "calls a control of the allocator that has no safe wrapper",
    ),
    ("src/store/entry.rs", "lays out one entry in one allocation"),
    ("src/store/lock.rs", "lends a shard that a transaction holds"),
    (
        "src/store/object.rs",
        "keeps an entry's structure behind a thin pointer",
    ),
    (
        "src/store/table.rs",
        "lays out buckets by cache lines and prefetches them",
    ),
];

/// Where a clock may be read.
const CLOCK: &str = "src/clock.rs";

/// A module of this name is a heap of what found no home.
const BANNED_MODULES: &[&str] = &[
    "common", "core", "helper", "helpers", "manager", "misc", "util", "utils",
];

/// Traces of work that is not finished. Written in two parts, so that they do not find themselves.
const UNFINISHED: &[&str] = &[
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[ig", "nore"),
    concat!("dbg", "!("),
];

/// How many rows each report has.
const REPORTED: usize = 5;

/// A source file.
struct Source {
    /// Relative to the package, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// The lines that are compiled into the library, numbered from 1: without comments, and without the module
    /// of unit tests, which stands last.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_code = |line: &&str| !line.starts_with("#[cfg(test)]");
        let without_comment = |line: &'_ str| line.find("//").unwrap_or(line.len());
        self.text
            .lines()
            .take_while(is_code)
            .enumerate()
            .map(move |(index, line)| (index + 1, &line[..without_comment(line)]))
    }

    /// The module path below the crate, such as `["store", "eviction"]` for `src/store/eviction/mod.rs`.
    fn module(&self) -> Vec<&str> {
        let inside = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inside
            .split('/')
            .filter(|part| !matches!(*part, "mod" | "lib" | "main"))
            .collect()
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join(folder)];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(read(root, &path));
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!sources.is_empty(), "{folder} has no source files");
    sources
}

fn read(root: &Path, path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let path = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    Source { path, text }
}

/// What stands behind each `crate::`, or behind as many `super::` as lead to the crate.
fn crate_paths(line: &str, depth: usize) -> impl Iterator<Item = &str> {
    let from_crate = line.split("crate::").skip(1);
    let to_root = "super::".repeat(depth);
    let from_super = line
        .match_indices(&to_root)
        .filter(|_| depth > 0)
        .map(|(at, _)| at + to_root.len());
    let starts: Vec<usize> = from_super.collect();
    from_crate.chain(starts.into_iter().map(|start| &line[start..]))
}

fn may_name(targets: &[&str], path: &str) -> bool {
    targets.iter().any(|target| {
        path.strip_prefix(target)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

fn fail_on(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn modules_name_only_what_they_may() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut violations = Vec::new();
    for source in sources("src") {
        let module = source.module();
        let Some(own) = module.first() else { continue };
        let targets = arrows
            .get(own)
            .unwrap_or_else(|| panic!("{}: give '{own}' a row in ARROWS", source.path));
        for (number, line) in source.code() {
            for path in crate_paths(line, module.len()).filter(|path| !may_name(&[own], path)) {
                if !may_name(targets, path) {
                    violations.push(format!("{}:{number}: '{own}' may not name {path}", source.path));
                }
            }
        }
    }
    fail_on(&violations);
}

#[test]
fn commands_do_not_know_of_tiers() {
    let names_tiers = |line: &&str| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|word| word == "tiers")
    };
    let files = sources("src/commands");
    let named = files.iter().flat_map(|file| {
        file.text
            .lines()
            .filter(names_tiers)
            .map(|line| (&file.path, line))
    });
    fail_on(
        &named
            .map(|(path, line)| format!("{path}: {line}"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn unsafe_stands_where_it_may() {
    let allowed = |path: &str| UNSAFE.iter().any(|(file, _)| *file == path);
    let is_unsafe = |line: &str| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|word| word == "unsafe")
    };
    let files = sources("src");
    let with_unsafe = files
        .iter()
        .filter(|file| file.code().any(|(_, line)| is_unsafe(line)));
    let violations: Vec<String> = with_unsafe
        .filter(|file| !allowed(&file.path))
        .map(|file| format!("{}: unsafe", file.path))
        .collect();
    fail_on(&violations);
}

#[test]
fn one_file_reads_clocks() {
    let reads_clock = |line: &str| line.contains("Instant::now") || line.contains("SystemTime::now");
    let files = sources("src");
    let readers = files
        .iter()
        .filter(|file| file.text.lines().any(reads_clock) && file.path != CLOCK);
    fail_on(
        &readers
            .map(|file| format!("{}: reads a clock", file.path))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn modules_have_names_that_say_something() {
    let files = sources("src");
    let banned = files
        .iter()
        .filter(|file| file.module().iter().any(|part| BANNED_MODULES.contains(part)));
    fail_on(
        &banned
            .map(|file| format!("{}: find the type that this serves", file.path))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_is_left_unfinished() {
    let mut violations = Vec::new();
    for file in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        let lines = file.text.lines().enumerate();
        let left = lines.filter(|(_, line)| UNFINISHED.iter().any(|word| line.contains(word)));
        violations.extend(left.map(|(index, line)| format!("{}:{}: {}", file.path, index + 1, line.trim())));
    }
    fail_on(&violations);
}

/// The lengths of functions, by rustfmt's layout: the closing brace stands below the line that begins the function.
fn functions(source: &Source) -> Vec<(usize, String)> {
    let lines: Vec<&str> = source.text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut functions = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let ends = |other: &&str| indent(other) == indent(line) && other.trim_start().starts_with('}');
        let length = lines[start..].iter().position(ends).map_or(1, |end| end + 1);
        functions.push((length, format!("{}:{} {name}", source.path, start + 1)));
    }
    functions
}

fn function_name(line: &str) -> Option<&str> {
    let (before, behind) = line.split_once("fn ")?;
    let is_modifier = |word: &str| {
        matches!(
            word,
            "pub" | "pub(crate)" | "pub(super)" | "const" | "async" | "unsafe"
        )
    };
    let opens = line.ends_with('{') || line.ends_with('(');
    (opens && before.split_whitespace().all(is_modifier))
        .then(|| behind.split(['(', '<']).next().unwrap_or(behind))
}

/// Not a rule: lengths are for noticing drift. Written past the capture of tests, so that everybody sees it.
#[test]
fn report_of_the_longest() {
    let sources = sources("src");
    let mut files: Vec<_> = sources
        .iter()
        .map(|file| (file.text.lines().count(), file.path.clone()))
        .collect();
    let mut functions: Vec<_> = sources.iter().flat_map(functions).collect();
    let mut report = String::new();
    for (title, rows) in [("files", &mut files), ("functions", &mut functions)] {
        rows.sort_by(|a, b| b.cmp(a));
        writeln!(report, "longest {title}:").unwrap();
        for (lines, name) in rows.iter().take(REPORTED) {
            writeln!(report, "  {lines:4} lines  {name}").unwrap();
        }
    }
    std::io::stderr().write_all(report.as_bytes()).unwrap();
}
