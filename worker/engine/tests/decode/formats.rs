//! Everything that occurs in the field and must be read right (design.md, section 2).

use stedi_engine::decode::{NULL_F64, NULL_I64, StepTrainerReading};
use stedi_lake::{Customer, LandingTable};

use crate::support::{bare, decode, reading, readings};

#[test]
fn the_three_tables() {
    let customer = r#"{"customerName": "Ann", "email": "a@b.c", "phone": "801", "birthDay": "967-01-01", "serialNumber": "s-1", "registrationDate": 1, "lastUpdateDate": 2, "shareWithResearchAsOfDate": 3, "shareWithPublicAsOfDate": 4, "shareWithFriendsAsOfDate": 5}"#;
    let full = Customer {
        customer_name: Some("Ann".into()),
        email: "a@b.c".into(),
        phone: Some("801".into()),
        birth_day: Some("967-01-01".into()),
        serial_number: "s-1".into(),
        registration_date: Some(1),
        last_update_date: Some(2),
        share_with_research_as_of_date: Some(3),
        share_with_public_as_of_date: Some(4),
        share_with_friends_as_of_date: Some(5),
    };
    let least = Customer { email: "a".into(), serial_number: "s".into(), ..Customer::default() };
    let rows = decode(LandingTable::Customer, &format!("{customer}\n{{\"email\":\"a\",\"serialNumber\":\"s\"}}\n"));
    assert_eq!((rows.customers, rows.rejects), (vec![full, least], vec![]));

    let step = |serial: &str, sensor_reading_time_ms, distance| StepTrainerReading {
        serial: serial.to_owned(),
        sensor_reading_time_ms,
        distance,
    };
    let rows = decode(
        LandingTable::StepTrainer,
        "{\"sensorReadingTime\":1655564444103,\"serialNumber\":\"50f7\",\"distanceFromObject\":218}\n{\"serialNumber\":\"x\",\"sensorReadingTime\":-1}\n",
    );
    assert_eq!(
        (rows.step_trainer, rows.rejects),
        (vec![step("50f7", 1_655_564_444_103, 218), step("x", -1, NULL_I64)], vec![])
    );

    assert_eq!(
        readings(r#"{"user":"S@test.com","timestamp":1655564444103,"x":1.0,"y":-1.5,"z":-0.0}"#),
        [reading("S@test.com", 1_655_564_444_103, [1.0, -1.5, -0.0])]
    );
}

/// Two records, written in every way that lines, arrays and streams are written.
#[test]
fn separators() {
    let (a, b) = (r#"{"user":"a","timestamp":1}"#, r#"{"user":"b","timestamp":2}"#);
    for object in [
        format!("{a}\n{b}\n"),
        format!("{a}\n{b}"),
        format!("{a},\n{b},\n"),
        format!("{a}\r\n{b}\r\n"),
        format!("{a},\r\n{b},\r\n"),
        format!("\u{feff}{a}\n{b}\n"),
        format!("\u{feff}\r\n\n{a}\n\n \t\n{b}\n\n"),
        format!("  {a}\n\t{b} \n"),
        format!("{a}{b}"),
        format!("{a} {b}\n"),
        format!("[{a},{b}]"),
        format!("\u{feff} [ {a} , {b} ]\n"),
        format!("[\n{a},\n{b}\n]\n"),
        format!("[{a}]\n[{b}]\n"),
        format!("{a}\n,{b}\n"),
    ] {
        assert_eq!(readings(&object), [bare("a", 1), bare("b", 2)], "{object:?}");
    }
}

#[test]
fn pretty_printed() {
    let object = "{\n  \"user\": \"a\",\n  \"timestamp\": 1,\n  \"extra\":\n  {\n    \"x\": 9\n  },\n  \"y\": 2\n}\n{\r\n\t\"timestamp\":\r\n2, \"user\": \"b\" }";
    assert_eq!(readings(object), [reading("a", 1, [NULL_F64, 2.0, NULL_F64]), bare("b", 2)]);
}

#[test]
fn keys() {
    for object in [
        r#"{"timestamp":1,"z":4,"user":"a","y":3,"x":2}"#,
        r#"{"USER":"a","timeStamp":1,"X":2,"Y":3,"Z":4}"#,
        r#"{ "user" : "a" , "timestamp" : 1 , "x" : 2 , "y" : 3 , "z" : 4 }"#,
        r#"{"user":"a", "timestamp":1, "x":2, "y":3, "z":4, "device":"phone", "n":-1.5e3, "ok":true, "no":false, "nil":null}"#,
        r#"{"meta":{"user":"no","list":[1,{"x":9},[],{}],"s":"}{\"\\"},"user":"a","timestamp":1,"x":2,"y":3,"z":4,"more":[]}"#,
        r#"{"us\u0065r":"a","time\u0053tamp":1,"x":2,"y":3,"z":4}"#,
        r#"{"user":"old","timestamp":"x","x":8,"USER":"a","timeStamp":1,"x":2,"y":3,"z":4}"#,
        r#"{"schlüssel":"wert","user":"a","timestamp":1,"x":2,"y":3,"z":4}"#,
    ] {
        assert_eq!(readings(object), [reading("a", 1, [2.0, 3.0, 4.0])], "{object}");
    }
}

#[test]
fn the_last_of_duplicate_keys_wins_even_if_null() {
    let object = r#"{"user":"a","timestamp":1,"x":2,"x":null,"y":3,"y":"no","z":null,"z":4}"#;
    assert_eq!(readings(object), [reading("a", 1, [NULL_F64, NULL_F64, 4.0])]);
}

#[test]
fn numbers() {
    for (text, expected) in [
        ("1655564444103", 1_655_564_444_103),
        ("\"1655564444103\"", 1_655_564_444_103),
        ("\" -5 \"", -5),
        ("1.655e12", 1_655_000_000_000),
        ("\"1.655E+12\"", 1_655_000_000_000),
        ("1655564444103.0", 1_655_564_444_103),
        ("-0", 0),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
    ] {
        assert_eq!(readings(&format!("{{\"user\":\"a\",\"timestamp\":{text}}}")), [bare("a", expected)], "{text}");
    }
    for (text, expected) in [
        ("0", 0.0),
        ("-0", -0.0),
        ("-0.038466", -0.038_466),
        ("\"1.5\"", 1.5),
        ("1e-5", 1e-5),
        ("0.1234567890123456", 0.123_456_789_012_345_6),
        ("123456789.123456789", 123_456_789.123_456_79),
        ("1e-400", 0.0),
        ("5e-324", 5e-324),
        ("1e308", 1e308),
    ] {
        let object = format!("{{\"user\":\"a\",\"timestamp\":1,\"x\":{text},\"y\":{text}}}");
        assert_eq!(readings(&object), [reading("a", 1, [expected, expected, NULL_F64])], "{text}");
    }
}

#[test]
fn an_optional_field_that_does_not_fit_is_null() {
    for text in ["null", "true", "[1]", "{\"a\":1}", "\"abc\"", "\"\"", "1e999", "-1e999", "\"NaN\"", "\"1.\""] {
        let object = format!("{{\"user\":\"a\",\"timestamp\":1,\"x\":{text},\"y\":1}}");
        assert_eq!(readings(&object), [reading("a", 1, [NULL_F64, 1.0, NULL_F64])], "{text}");
    }
    for text in ["null", "false", "[]", "\"abc\"", "218.5", "9223372036854775808", "1e19", "1e-1"] {
        let object = format!("{{\"serialNumber\":\"a\",\"sensorReadingTime\":1,\"distanceFromObject\":{text}}}");
        let rows = decode(LandingTable::StepTrainer, &object);
        assert_eq!((rows.rejects.len(), rows.step_trainer[0].distance), (0, NULL_I64), "{text}");
    }
    let object =
        r#"{"customerName":7,"email":"a","phone":8015551212,"birthDay":"","serialNumber":"s","registrationDate":"x"}"#;
    let rows = decode(LandingTable::Customer, object);
    let birth_day = Some("".into());
    let expected = Customer { email: "a".into(), serial_number: "s".into(), birth_day, ..Customer::default() };
    assert_eq!((rows.customers, rows.rejects), (vec![expected], vec![]));
}

#[test]
fn strings() {
    for (text, expected) in [
        (r#"a\"b\\c\/d\b\f\n\r\t"#, "a\"b\\c/d\u{8}\u{c}\n\r\t"),
        (r"\u0041\u00e9\u20ac\ud83d\ude00", "Aé€😀"),
        ("Zoë.Müller@test.com", "Zoë.Müller@test.com"),
        ("日本語のとても長い名前の利用者がここにいます", "日本語のとても長い名前の利用者がここにいます"),
        ("with } and { and , and ]", "with } and { and , and ]"),
        ("\u{7f}", "\u{7f}"),
        (r"\u0000", "\0"),
    ] {
        let object = format!("{{\"user\":\"{text}\",\"timestamp\":1}}\n").repeat(3);
        assert_eq!(readings(&object), [bare(expected, 1), bare(expected, 1), bare(expected, 1)], "{text}");
    }
}

#[test]
fn nothing_is_nothing() {
    for object in ["", "\u{feff}", "\n\n", "[]", "[\n]\n", ",\r\n", " "] {
        assert_eq!(readings(object), [], "{object:?}");
    }
}
