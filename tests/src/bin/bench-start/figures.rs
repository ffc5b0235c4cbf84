//! Samples, and tables of their ratios.

use std::collections::BTreeMap;
use std::fmt;

use crate::peer::YARDSTICK;

/// Samples of one peer in one row.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Takes one more.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The value below which this share (0 to 1) of all lies.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        sorted.get((last as f64 * share).round() as usize).copied()
    }
}

/// Rows of what was measured, columns of who was.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// What was the same for all.
    pub title: String,
    rows: Vec<(String, &'static str)>,
    columns: Vec<&'static str>,
    cells: BTreeMap<(usize, usize), Samples>,
}

impl Table {
    /// An empty one.
    pub fn new(title: &str) -> Table {
        Table {
            title: title.to_owned(),
            ..Table::default()
        }
    }

    /// Takes a sample; rows and columns stand in the order in which they first come.
    pub fn push(&mut self, row: (&str, &'static str), column: &'static str, value: f64) {
        let wanted = (row.0.to_owned(), row.1);
        let row = position(&mut self.rows, wanted);
        let column = position(&mut self.columns, column);
        self.cells.entry((row, column)).or_default().push(value);
    }

    /// Each row's name, and the ratio of each column's median to the yardstick's.
    pub fn ratios(&self) -> Vec<(String, Vec<(&'static str, f64)>)> {
        let ratio =
            |row, column| Some(self.at(row, column, 0.5)? / self.at(row, self.yard()?, 0.5)?);
        let cells = |row| {
            let columns = self.columns.iter().enumerate();
            columns
                .filter_map(|(column, name)| Some((*name, ratio(row, column)?)))
                .collect()
        };
        let rows = self.rows.iter().enumerate();
        rows.map(|(row, (name, _))| (name.clone(), cells(row)))
            .collect()
    }

    fn yard(&self) -> Option<usize> {
        self.columns.iter().position(|name| *name == YARDSTICK)
    }

    fn at(&self, row: usize, column: usize, share: f64) -> Option<f64> {
        self.cells.get(&(row, column))?.quantile(share)
    }

    /// The yardstick's cell is absolute, the others are ratios to it: median, and p10 behind it.
    fn cell(&self, row: usize, column: usize) -> String {
        let (Some(median), Some(low)) = (self.at(row, column, 0.5), self.at(row, column, 0.1))
        else {
            return "-".to_owned();
        };
        let yard = self.yard();
        let base = |share| yard.and_then(|yard| self.at(row, yard, share));
        match (base(0.5), base(0.1)) {
            (Some(middle), Some(lowest)) if yard != Some(column) => {
                format!("{:.2} ({:.2})", median / middle, low / lowest)
            }
            _ => {
                let unit = self.rows.get(row).map_or("", |(_, unit)| unit);
                format!("{median:.1} ({low:.1}) {unit}")
            }
        }
    }
}

fn position<T: PartialEq>(list: &mut Vec<T>, wanted: T) -> usize {
    let found = list.iter().position(|item| *item == wanted);
    found.unwrap_or_else(|| {
        list.push(wanted);
        list.len() - 1
    })
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{}: median (p10); crun's own, the others as ratios to it",
            self.title
        )?;
        write!(formatter, "  {:<32}", "")?;
        for column in &self.columns {
            write!(formatter, "{column:>20}")?;
        }
        writeln!(formatter)?;
        for (row, (name, _)) in self.rows.iter().enumerate() {
            write!(formatter, "  {name:<32}")?;
            for column in 0..self.columns.len() {
                write!(formatter, "{:>20}", self.cell(row, column))?;
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}
