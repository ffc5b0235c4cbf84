//! What must be refused, and what the refusal must tell.

use serde_json::{Value, json};

use super::*;

/// A configuration that is accepted, as a template.
fn good() -> Value {
    json!({
        "ociVersion": "1.0.0",
        "process": {"args": ["/x"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [],
        "linux": {"namespaces": [{"type": "pid"}]},
    })
}

fn with_config(text: &str) -> Files {
    Files::default().file("/exports/config.json.template", text)
}

/// T01: missing ones of every kind of template are named together.
#[test]
fn t01_missing_values_of_all_templates_are_named_at_once() {
    let image = with_config("{\n\"a\": \"$PORT\", \"b\": \"${RECEIVER}\"}")
        .file(
            "/exports/service.template",
            "[Service]\nExecStart=$EXEC_START\nUser=$WHO\n",
        )
        .file("/exports/tmpfiles.template", "d $FOLDER\n")
        .file(
            "/exports/manifest.json",
            "{\"defaultValues\": {\"PORT\": \"1\"},\n\"installedFilesTemplate\": [\"/etc/c\"],\n\
             \"renameFiles\": {\n\"/etc/a\": \"/etc/$PLACE\"}}",
        )
        .file("/exports/hostfs/etc/a", "")
        .file("/exports/hostfs/etc/c", "\n\n$INSIDE");
    let ask = Ask::new("box");
    let message = ask.refused(&image);
    for line in [
        "/exports/config.json.template:2: unreplaced value for: ''RECEIVER''",
        "/exports/service.template:3: unreplaced value for: ''WHO''",
        "/exports/tmpfiles.template:1: unreplaced value for: ''FOLDER''",
        "/exports/manifest.json:4: unreplaced value for: ''PLACE''",
    ] {
        assert!(
            message.lines().any(|found| found == line),
            "{line}\n{message}"
        );
    }
    assert!(
        !message.contains("''PORT''") && message.contains("\nhelp: "),
        "{message}"
    );
    let message = ask.set("PLACE", "b").refused(&image);
    let line = "hostfs/etc/c:3: unreplaced value for: ''INSIDE''";
    assert!(message.lines().any(|found| found == line), "{message}");
}

/// T04: a value that breaks the JSON is told by position and by name, and is not shown.
#[test]
fn t04_a_value_that_breaks_the_json_is_told_by_its_name() {
    let image = with_config(
        "{\n  \"ociVersion\": \"1.0.0\",\n  \"process\": {\"args\": [\"/x\", \"--port=$PORT\"],\n    \
         \"cwd\": \"/\", \"user\": {}},\n  \"mounts\": [\n    {\"destination\": \"/a\"}\n    \
         $ADDTL_MOUNTS\n  ],\n  \"root\": {\"path\": \"rootfs\", \"readonly\": true}\n}\n",
    );
    let fine = Ask::new("box").set("PORT", "80").set("ADDTL_MOUNTS", "");
    fine.render(&image).unwrap();
    let cases = [
        ("PORT", "s3cr3t\"", "PORT", "line 3,"),
        ("PORT", "s3cr3t\n", "PORT", "line 3,"),
        ("PORT", "s3cr3t\\", "PORT", "line 3,"),
        ("PORT", "s3cr3t\\x", "PORT", "line 3,"),
        ("PORT", "s3cr3t\\b", "PORT", "line 3 "),
        (
            "ADDTL_MOUNTS",
            ",{\"destination\": \"/s3cr3t\"},",
            "ADDTL_MOUNTS",
            "line 8,",
        ),
        (
            "ADDTL_MOUNTS",
            "{\"destination\": \"/s3cr3t\"}",
            "ADDTL_MOUNTS",
            "line 7,",
        ),
    ];
    for (name, value, told, line) in cases {
        let ask = Ask::new("box")
            .set("PORT", "80")
            .set("ADDTL_MOUNTS", "")
            .set(name, value);
        let message = ask.refused(&image);
        assert!(
            message.contains(told) && message.contains(line),
            "{value}: {message}"
        );
        assert!(
            message.contains("/exports/config.json.template"),
            "{value}: {message}"
        );
        assert!(!message.contains("s3cr3t"), "{value}: {message}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_not_shown_either() {
    let mut config = good();
    config["process"]["user"]["uid"] = "$SECRET".into();
    let message = Ask::new("box")
        .set("SECRET", "hunter22")
        .refused(&with_config(&config.to_string()));
    assert!(
        message.contains("'process.user.uid'") && message.contains("${SECRET}"),
        "{message}"
    );
    assert!(!message.contains("hunter22"), "{message}");
}

/// T11 and the rules of the contract: what is put in the place of what, and what is named.
#[test]
fn t11_configurations_that_cannot_be_run_are_refused() {
    let cases = [
        ("/root/readonly", json!(false), "'root.readonly'"),
        ("/root/readonly", json!("true"), "'root.readonly'"),
        ("/root/readonly", Value::Null, "'root.readonly'"),
        ("/root/path", json!("/"), "'root.path'"),
        ("/root/path", json!("rootfs/.."), "'root.path'"),
        ("/root/path", Value::Null, "'root.path'"),
        ("/root", Value::Null, "'root.path'"),
        ("/process", Value::Null, "'process'"),
        ("/process/args", Value::Null, "'process.args'"),
        ("/process/args", json!([]), "'process.args'"),
        ("/process/args", json!([""]), "'process.args[0]'"),
        ("/process/args", json!("sh"), "'process.args'"),
        ("/process/args", json!(["sh", 1]), "'process.args[1]'"),
        ("/process/cwd", json!("srv"), "'process.cwd'"),
        ("/process/cwd", Value::Null, "'process"),
        (
            "/process/args",
            json!(["sh", "a\u{0}b"]),
            "'process.args[1]'",
        ),
        (
            "/mounts",
            json!([{"destination": "/".to_owned() + &"x".repeat(256)}]),
            "'mounts[0]",
        ),
        ("/mounts", json!({}), "'mounts'"),
        (
            "/mounts",
            json!([{"destination": "/a/../proc"}]),
            "'mounts[0].destination'",
        ),
        ("/mounts", json!([{"source": "/a"}]), "'mounts[0]"),
        (
            "/linux/namespaces",
            json!([{"type": "dream"}]),
            "'linux.namespaces[0].type'",
        ),
        (
            "/hooks",
            json!({"prestart": [{"args": []}]}),
            "'hooks.prestart[0]",
        ),
    ];
    for (pointer, value, named) in cases {
        let mut config = good();
        if pointer == "/hooks" {
            config["hooks"] = value.clone();
        } else {
            *config.pointer_mut(pointer).unwrap() = value.clone();
        }
        let message = Ask::new("box").refused(&with_config(&config.to_string()));
        assert!(message.contains(named), "{pointer} = {value}: {message}");
        assert!(
            message.contains("/exports/config.json.template"),
            "{message}"
        );
    }
    Ask::new("box")
        .render(&with_config(&good().to_string()))
        .unwrap();
}

#[test]
fn what_is_no_configuration_at_all_is_refused() {
    for text in ["", "{}", "[]", "null", "text", "{\"a\": 1", "\u{feff}{}"] {
        for file in ["/exports/config.json", "/exports/config.json.template"] {
            let message = Ask::new("box").refused(&Files::default().file(file, text));
            assert!(message.contains(file), "{text}: {message}");
        }
    }
}

#[test]
fn a_configuration_that_is_cut_anywhere_is_refused() {
    let text = serde_json::to_string_pretty(&good())
        .unwrap()
        .replace("/x", "/x ä$V");
    for (at, _) in text.char_indices() {
        let message = Ask::new("box")
            .set("V", "a\nb")
            .refused(&with_config(&text[..at]));
        assert!(
            message.contains("/exports/config.json.template"),
            "{at}: {message}"
        );
    }
}

#[test]
fn a_network_is_not_changed_behind_an_images_back() {
    let ask = Ask {
        network: Network::Private,
        ..Ask::new("box")
    };
    let message = ask.refused(&with_config(&good().to_string()));
    assert!(message.contains("--exports DIR"), "{message}");
    assert!(ask.render(&Files::default()).is_ok());
}

/// R14: configurations of every age are accepted at install.
#[test]
fn r14_old_forms_are_accepted() {
    let cases = [
        ("/process/capabilities", json!(["CAP_NET_RAW"]), 1),
        ("/linux/capabilities", json!(["CAP_NET_RAW"]), 2),
        (
            "/linux/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "hard": 9, "soft": 9}]),
            1,
        ),
        ("/platform", json!({"os": "linux", "arch": "amd64"}), 0),
        ("/linux/selinuxProcessLabel", json!(""), 0),
        ("/hooks", json!({"prestart": [{"path": "/bin/true"}]}), 0),
        ("/ociVersion", json!("0.3.0"), 0),
        ("/ociVersion", json!("1.0.0-rc3"), 0),
        ("/linux/namespaces", Value::Null, 0),
        ("/linux/rootfsPropagation", json!("rslave"), 0),
        ("/unknown", json!({"key": [1]}), 0),
        ("/process/unknown", json!("x"), 0),
        (
            "/mounts",
            json!([{"destination": "a", "type": "bind", "source": "/a",
            "options": ["rbind", "rslave", "rprivate", "mode=755"]}]),
            0,
        ),
    ];
    for (pointer, value, warnings) in cases {
        let mut config = good();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[key] = value.clone();
        let text = config.to_string();
        let rendered = Ask::new("box").render(&with_config(&text));
        let rendered = rendered.unwrap_or_else(|error| panic!("{pointer} = {value}: {error}"));
        assert_eq!(
            rendered.config_json.as_deref(),
            Some(text.as_str()),
            "installed as it was"
        );
        assert_eq!(
            rendered.warnings.len(),
            warnings,
            "{pointer}: {:?}",
            rendered.warnings
        );
    }
}

#[test]
fn a_stray_dollar_is_told_with_file_and_line() {
    let image = with_config(&good().to_string()).file(
        "/exports/service.template",
        "[Service]\nExecStart=/bin/sh -c 'kill $(cat /run/x)'\n",
    );
    let message = Ask::new("box").refused(&image);
    assert!(
        message.contains("/exports/service.template:2: '$(cat"),
        "{message}"
    );
    assert!(message.contains("'$$'"), "{message}");
}

#[test]
fn an_ordinary_image_that_cannot_be_run_is_refused() {
    let cases = [
        (json!({}), "\nhelp: set ENTRYPOINT"),
        (
            json!({"Cmd": ["x"], "User": "nobody"}),
            "'nobody' is not in /etc/passwd",
        ),
        (
            json!({"Cmd": ["x"], "Volumes": {"/../x": {}}}),
            "volume '/../x'",
        ),
        (
            json!({"Cmd": ["x"], "StopSignal": "TERM\nUser=root"}),
            "StopSignal",
        ),
    ];
    for (config, named) in cases {
        let message = Ask::new("box")
            .config(config.clone())
            .refused(&Files::default());
        assert!(message.contains(named), "{config}: {message}");
    }
}
