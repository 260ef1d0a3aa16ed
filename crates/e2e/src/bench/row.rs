//! Rows of the table: a figure, what it is measured against, the bar, and whether it is kept.

use serde_json::{Value, json};

pub const KIB: f64 = 1024.0;
pub const MIB: f64 = 1024.0 * KIB;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Bytes,
    /// Megabytes a second.
    Speed,
    Count,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bar {
    /// The other takes at least so many times as long.
    Faster(f64),
    /// At most so many times the other.
    Times(f64),
    /// At least this share of the other.
    Share(f64),
    AtMost(f64),
    /// Shown beside the rest; nothing is asked of it.
    None,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub figure: String,
    /// Infinite where it was never done.
    pub ours: f64,
    /// The other's name and value.
    pub other: Option<(String, f64)>,
    /// Of both values.
    pub unit: Unit,
    pub bar: Bar,
    /// The smallest of our values where there were several, and of the other's.
    pub best: Option<(f64, f64)>,
}

impl Row {
    /// The medians of seconds beside another's, and the best of both.
    pub fn timed(figure: &str, ours: &[f64], other: &str, theirs: &[f64], bar: Bar) -> Self {
        let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
        let best = Some((least(ours), least(theirs)));
        Self { best, ..Self::beside(figure, median(ours), other, median(theirs), Unit::Seconds, bar) }
    }

    pub fn beside(figure: &str, ours: f64, other: &str, theirs: f64, unit: Unit, bar: Bar) -> Self {
        Self { other: Some((other.to_owned(), theirs)), ..Self::alone(figure, ours, unit, bar) }
    }

    pub fn alone(figure: &str, ours: f64, unit: Unit, bar: Bar) -> Self {
        Self { figure: figure.to_owned(), ours, other: None, unit, bar, best: None }
    }

    /// Whether the bar is kept; none where there is none.
    pub fn passes(&self) -> Option<bool> {
        let theirs = self.other.as_ref().map(|(_, value)| *value);
        match (self.bar, theirs) {
            (Bar::None, _) => None,
            (Bar::AtMost(limit), _) => Some(self.ours <= limit),
            (Bar::Faster(times), Some(theirs)) => Some(theirs >= self.ours * times),
            (Bar::Times(times), Some(theirs)) => Some(self.ours <= theirs * times),
            (Bar::Share(share), Some(theirs)) => Some(self.ours >= theirs * share),
            (Bar::Faster(_) | Bar::Times(_) | Bar::Share(_), None) => Some(false),
        }
    }

    fn bar_text(&self) -> String {
        match self.bar {
            Bar::Faster(times) => format!("≥ {times}× faster"),
            Bar::Times(1.0) => "no slower".to_owned(),
            Bar::Times(times) => format!("≤ {times}×"),
            Bar::Share(share) => format!("≥ {share}×"),
            Bar::AtMost(limit) => format!("≤ {}", amount(limit, self.unit)),
            Bar::None => String::new(),
        }
    }

    fn found(&self) -> String {
        match (&self.other, self.bar) {
            _ if self.ours.is_infinite() => String::new(),
            (Some((_, theirs)), Bar::Times(_)) => format!("{:.2}×", self.ours / theirs),
            (Some((_, theirs)), _) => match self.unit {
                Unit::Seconds => format!("{:.1}× faster", theirs / self.ours),
                Unit::Bytes => format!("{:.1}× less", theirs / self.ours),
                Unit::Speed => format!("{:.2}×", self.ours / theirs),
                Unit::Count => String::new(),
            },
            (None, _) => String::new(),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.passes() {
            Some(true) => "ok",
            Some(false) => "MISSED",
            None => "",
        }
    }

    pub fn json(&self) -> Value {
        let (other, theirs) = self.other.as_ref().map(|(name, value)| (name, value)).unzip();
        json!({
            "figure": self.figure,
            "ours": self.ours,
            "other": other,
            "theirs": theirs,
            "unit": format!("{:?}", self.unit).to_lowercase(),
            "best": self.best,
            "bar": self.bar_text(),
            "passes": self.passes(),
        })
    }
}

pub fn table(rows: &[Row]) -> String {
    let mut cells = vec![["figure", "ours", "other", "found", "best", "bar", ""].map(str::to_owned)];
    for row in rows {
        let other = row.other.as_ref().map(|(name, value)| format!("{} {name}", amount(*value, row.unit)));
        let best = row.best.map(|(ours, theirs)| format!("{} : {}", amount(ours, row.unit), amount(theirs, row.unit)));
        cells.push([
            row.figure.clone(),
            amount(row.ours, row.unit),
            other.unwrap_or_default(),
            row.found(),
            best.unwrap_or_default(),
            row.bar_text(),
            row.verdict().to_owned(),
        ]);
    }
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    // The column of the best is left out where nothing was measured several times.
    let columns = (0..7).filter(|column| *column != 4 || rows.iter().any(|row| row.best.is_some()));
    let widths: Vec<(usize, usize)> = columns.map(|column| (column, width(column))).collect();
    let mut text = String::new();
    for row in &cells {
        let cell = |(column, width): &(usize, usize)| format!("{:<width$}", row[*column], width = *width);
        let line: Vec<String> = widths.iter().map(cell).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn amount(value: f64, unit: Unit) -> String {
    match unit {
        _ if value.is_infinite() => "never".to_owned(),
        Unit::Speed => format!("{value:.1} MB/s"),
        Unit::Seconds => format!("{value:.3} s"),
        Unit::Count => format!("{value}"),
        Unit::Bytes if value >= MIB => format!("{:.1} MiB", value / MIB),
        Unit::Bytes => format!("{:.1} KiB", value / KIB),
    }
}

/// The middle value; of an even number the lower one of the middle two. Zero where there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_table_says_what_was_kept_and_what_was_missed() {
        let seconds =
            |figure: &str, ours, other: &str, theirs, bar| Row::beside(figure, ours, other, theirs, Unit::Seconds, bar);
        let rows = [
            seconds("cold", 1.5, "docker", 18.5, Bar::Faster(10.0)),
            seconds("rebuild", 0.3, "docker", 0.26, Bar::Times(1.0)),
            seconds("layer", 1.2, "floor", 1.0, Bar::Times(1.3)),
            Row::alone("peak", 64.0 * MIB, Unit::Bytes, Bar::AtMost(128.0 * MIB)),
            Row::alone("start-up", 0.1, Unit::Seconds, Bar::None),
            Row::beside("speed", 95.0, "line", 100.0, Unit::Speed, Bar::Share(0.9)),
            Row::beside("sent", f64::INFINITY, "size", 2.0 * MIB, Unit::Bytes, Bar::Times(1.05)),
        ];
        expect![[r#"
            figure    ours       other            found         bar
            cold      1.500 s    18.500 s docker  12.3× faster  ≥ 10× faster  ok
            rebuild   0.300 s    0.260 s docker   1.15×         no slower     MISSED
            layer     1.200 s    1.000 s floor    1.20×         ≤ 1.3×        ok
            peak      64.0 MiB                                  ≤ 128.0 MiB   ok
            start-up  0.100 s
            speed     95.0 MB/s  100.0 MB/s line  0.95×         ≥ 0.9×        ok
            sent      never      2.0 MiB size                   ≤ 1.05×       MISSED
        "#]]
        .assert_eq(&table(&rows));
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn a_bar_against_nobody_is_missed() {
        assert_eq!(Row::alone("x", 1.0, Unit::Seconds, Bar::Faster(2.0)).passes(), Some(false));
    }
}
