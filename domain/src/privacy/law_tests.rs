use proptest::prelude::*;

use super::*;

fn period(text: &str) -> Period {
    serde_json::from_str(text).unwrap()
}

fn argentina() -> Calendar {
    let days = |all: &[&str]| all.iter().map(|day| (*day).to_owned()).collect();
    Calendar {
        known: vec![2025],
        fixed: days(&["01-01", "03-24", "04-02", "05-01", "05-25", "06-20", "07-09", "12-08", "12-25"]),
        easter: vec![-48, -47, -2],
        movable: days(&["06-17", "08-17", "10-12", "11-20"]),
        change: vec![Change {
            from: Some(Date::constant(2025, 10, 12)),
            to: Some(Date::constant(2025, 10, 10)),
            norm: "139/2025".to_owned(),
        }],
    }
}

fn law() -> Law {
    let profile = |name: &str, offset_minutes, calendar: Option<&str>, access, others, extension| Profile {
        name: name.to_owned(),
        law: name.to_owned(),
        offset_minutes,
        calendar: calendar.map(str::to_owned),
        access,
        others,
        tell_recipients: others,
        extension,
    };
    let (month, five) = (Period::Months(1), Period::BusinessDays(5));
    Law {
        profile: vec![
            profile("AR", -180, Some("AR"), Period::Days(10), five, None),
            profile("GDPR", 0, None, month, month, Some(Period::Months(2))),
        ],
        calendar: [("AR".to_owned(), argentina())].into(),
    }
}

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

fn at(text: &str) -> Timestamp {
    Timestamp::from_rfc3339(text).unwrap()
}

#[test]
fn holidays_are_those_that_were_decreed() {
    let calendar = argentina();
    let of = |year| {
        calendar
            .holidays(year)
            .iter()
            .map(|day| day.strftime("%m-%d").to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let of_2024 =
        "01-01 02-12 02-13 03-24 03-29 04-02 05-01 05-25 06-17 06-20 07-09 08-17 10-12 11-18 12-08 12-25";
    assert_eq!(of(2024), of_2024);
    let of_2025 =
        "01-01 03-03 03-04 03-24 04-02 04-18 05-01 05-25 06-16 06-20 07-09 08-17 10-10 11-24 12-08 12-25";
    assert_eq!(of(2025), of_2025);
    let of_2026 =
        "01-01 02-16 02-17 03-24 04-02 04-03 05-01 05-25 06-15 06-20 07-09 08-17 10-12 11-23 12-08 12-25";
    assert_eq!(of(2026), of_2026);
}

#[test]
fn easter_is_where_it_was() {
    for (year, month, day) in [(1961, 4, 2), (2000, 4, 23), (2008, 3, 23), (2026, 4, 5), (2038, 4, 25)] {
        assert_eq!(easter(year), Some(Date::constant(year, month, day)));
    }
}

#[test]
fn the_day_of_asking_does_not_count_and_the_last_one_does_to_its_end() {
    let (law, ar) = (law(), names(&["AR"]));
    // 23:30 in Buenos Aires is the next day in UTC.
    let asked = at("2026-12-02T02:30:00Z");
    assert_eq!(law.due(&ar, RightKind::Access, asked).at, at("2026-12-12T02:59:59.999Z"));
    // Tuesday, 1 December: the 8th is a holiday, so the fifth business day is the 9th.
    assert_eq!(law.due(&ar, RightKind::Delete, asked).at, at("2026-12-10T02:59:59.999Z"));
    let on_friday = at("2025-10-09T15:00:00Z");
    assert_eq!(
        law.due(&ar, RightKind::Rectify, on_friday).at,
        at("2025-10-18T02:59:59.999Z"),
        "the 10th was moved to"
    );
}

#[test]
fn a_month_ends_on_its_last_day_where_it_has_no_other() {
    let (law, gdpr) = (law(), names(&["GDPR"]));
    assert_eq!(
        law.due(&gdpr, RightKind::Access, at("2027-01-31T10:00:00Z")).at,
        at("2027-02-28T23:59:59.999Z")
    );
    assert_eq!(
        law.due(&gdpr, RightKind::Access, at("2027-12-31T10:00:00Z")).at,
        at("2028-01-31T23:59:59.999Z")
    );
    let extended = law.extended(&gdpr, RightKind::Access, at("2026-01-10T10:00:00Z")).unwrap();
    assert_eq!(extended.at, at("2026-04-10T23:59:59.999Z"));
    let both = names(&["AR", "GDPR"]);
    assert_eq!(
        law.extended(&both, RightKind::Access, at("2026-01-10T10:00:00Z")),
        None,
        "the stricter one lets none"
    );
}

#[test]
fn laws_that_cannot_be_kept_to_are_refused() {
    assert_eq!(law().check(&names(&["AR", "GDPR"])), Ok(()));
    assert_eq!(law().check(&names(&["BR"])), Err(LawProblem::Unknown("BR".to_owned())));
    assert!(law().check(&[]).is_err());
    let with = |change: &dyn Fn(&mut Law)| {
        let mut law = law();
        change(&mut law);
        law.check(&names(&["AR"]))
    };
    assert!(with(&|law| law.profile[0].access = period(r#"{"days":0}"#)).is_err());
    assert!(with(&|law| law.profile[1].name = "AR".to_owned()).is_err());
    assert!(with(&|law| law.profile[0].calendar = Some("X".to_owned())).is_err());
    assert!(with(&|law| law.calendar.get_mut("AR").unwrap().fixed.push("13-01".to_owned())).is_err());
    assert!(with(&|law| law.profile[0].offset_minutes = 2_000).is_err());
}

/// Any moment that calendars reach, and then some.
fn moments() -> impl Strategy<Value = i64> {
    prop_oneof![0_i64..4_102_444_800_000, any::<i64>()]
}

proptest! {
    #[test]
    fn nothing_is_due_before_it_is_asked_and_no_clock_brings_it_down(from in moments(), right in 0_usize..6) {
        let (law, all) = (law(), names(&["AR", "GDPR"]));
        let (from, right) = (Timestamp::from_millis(from), RightKind::ALL[right]);
        let due = law.due(&all, right, from);
        prop_assert!(due.at >= from || from.as_millis() > i64::MAX - 500 * DAY_MS);
        for name in ["AR", "GDPR"] {
            prop_assert!(due.at <= law.due(&names(&[name]), right, from).at, "the stricter one counts");
        }
    }

    #[test]
    fn who_asks_later_is_not_answered_earlier(from in 0_i64..4_102_444_800_000, later in 0_i64..200_000_000) {
        let (law, all) = (law(), names(&["AR", "GDPR"]));
        for right in RightKind::ALL {
            let due = |at| law.due(&all, right, Timestamp::from_millis(at)).at;
            prop_assert!(due(from) <= due(from + later));
        }
    }

    #[test]
    fn five_business_days_are_five_and_end_on_one(from in 0_i64..4_102_444_800_000) {
        let (law, ar) = (law(), names(&["AR"]));
        let calendar = argentina();
        let local = |at: Timestamp| date_of((at.as_millis() - 180 * MINUTE_MS).div_euclid(DAY_MS)).unwrap();
        let from = Timestamp::from_millis(from);
        let end = local(law.due(&ar, RightKind::Delete, from).at);
        prop_assert!(calendar.is_business_day(end));
        let mut date = local(from);
        let mut counted = 0;
        while date < end {
            date = date.tomorrow().unwrap();
            counted += usize::from(calendar.is_business_day(date));
        }
        prop_assert_eq!(counted, 5);
    }
}
