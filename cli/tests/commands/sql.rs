//! Queries, or how to get them.

use crate::scene::{Scene, assert_code};

#[cfg(not(feature = "sql"))]
#[test]
fn a_build_without_sql_says_how_to_get_it() {
    let output = Scene::with_landing(3).stedi("sql", &["SELECT 1"]);
    assert_code(&output, 1);
    let error = crate::scene::stderr(&output);
    assert!(error.contains("--features sql"), "{error}");
}

#[cfg(feature = "sql")]
#[test]
fn all_eight_tables_can_be_queried() {
    let scene = Scene::with_landing(9);
    scene.write("step_trainer/landing/bad.json", "{\"sensorReadingTime\":1}\n");
    let count = |table: &str| {
        let output = scene.stedi("sql", &["--json", &format!("SELECT count(*) AS n FROM {table}")]);
        crate::json(&output)["n"].as_u64().unwrap()
    };
    for table in stedi_lake::CuratedTable::ALL {
        assert_eq!(count(table.name()), 0, "nothing was committed yet");
    }
    assert_code(&scene.run(&["--max-bad-records", "1"]), 0);
    let commit = scene.commit().unwrap();
    for (table, counts) in &commit.landing {
        assert_eq!(count(table.name()), counts.rows - counts.quarantined, "{}", table.name());
    }
    for (table, parts) in &commit.tables {
        assert_eq!(count(table.name()), parts.rows, "{}", table.name());
    }
    let join = "SELECT m.user, count(*) AS n FROM machine_learning_curated m JOIN customer_landing c \
                ON m.user = c.email AND m.serialnumber = c.serialnumber GROUP BY m.user ORDER BY m.user LIMIT 1";
    let output = scene.stedi("sql", &[join]);
    assert_code(&output, 0);
    assert!(crate::stdout(&output).contains("c1@example.com"), "{}", crate::stdout(&output));
}

#[cfg(feature = "sql")]
#[test]
fn a_query_may_only_read() {
    let scene = Scene::with_landing(3);
    let files = scene.files();
    let target = scene.folder().join("copy.csv");
    let copy = format!("COPY customer_landing TO '{}'", target.display());
    for query in ["DROP TABLE customer_landing", "CREATE TABLE t AS SELECT 1", &copy, "SELECT nothing FROM nowhere"] {
        let output = scene.stedi("sql", &[query]);
        assert_code(&output, 1);
    }
    assert!(scene.files() == files && !target.exists());
}
