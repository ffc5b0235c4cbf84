//! Tables for people: aligned columns, no frames, so that `awk` can read them too.

use comfy_table::{ContentArrangement, Table, presets};

/// `rows` below `headers`, two spaces between columns, every value whole.
pub fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headers.iter().copied())
        .add_rows(rows.iter().cloned());
    let last = headers.len().saturating_sub(1);
    for (position, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if position == last { 0 } else { 2 }));
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_aligned_and_unframed() {
        let rows = [
            vec!["etcd".to_owned(), "x".to_owned()],
            vec!["a".into(), "y".into()],
        ];
        assert_eq!(
            super::table(&["NAME", "IMAGE"], &rows),
            "NAME  IMAGE\netcd  x\na     y"
        );
    }
}
