//! A moment as atomic's lists wrote it: `2026-11-25 14:05`, in UTC.

const DAY: u64 = 86_400;

/// Of seconds since 1970.
pub(super) fn shown(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / DAY);
    let minutes = seconds % DAY / 60;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}",
        minutes / 60,
        minutes % 60
    )
}

/// The Gregorian date of a day since 1970. Years are counted from March, so that the leap day is
/// the last one, and in eras of 400 years, which are all alike.
fn civil(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    let since_march_of_year_0 = days + 719_468;
    let (era, in_era) = (since_march_of_year_0 / ERA, since_march_of_year_0 % ERA);
    let year_of_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month < 3);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::shown;

    /// Against date(1): `date -u -d @SECONDS`.
    #[test]
    fn dates_of_all_kinds_of_years() {
        let cases = [
            (0, "1970-01-01 00:00"),
            (951_782_399, "2000-02-28 23:59"),
            (951_782_400, "2000-02-29 00:00"),
            (1_709_251_199, "2024-02-29 23:59"),
            (1_795_615_500, "2026-11-25 14:05"),
            (4_107_542_400, "2100-03-01 00:00"),
        ];
        for (seconds, text) in cases {
            assert_eq!(shown(seconds), text);
        }
    }
}
