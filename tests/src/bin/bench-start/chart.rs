//! A chart of ratios, as SVG that needs nothing but a browser.

use crate::figures::Table;

const WIDTH: f64 = 860.0;
const LABELS: f64 = 210.0;
const BAR: f64 = 13.0;
/// Longer bars are cut, with their number beside them.
const LONGEST: f64 = 4.0;
const COLOURS: [(&str, &str); 4] = [
    ("sysc-runtime", "#1b6ca8"),
    ("crun", "#8d99ae"),
    ("runc", "#c98b4a"),
    ("bubblewrap", "#7a9e7e"),
];

/// One panel for each table, one group of bars for each row.
pub fn draw(tables: &[Table]) -> String {
    let mut body = String::new();
    let mut y = 24.0;
    for table in tables {
        y = panel(&mut body, table, y);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

fn panel(body: &mut String, table: &Table, mut y: f64) -> f64 {
    let title = format!("{}: as a multiple of crun, less is better", table.title);
    *body += &text(12.0, y, "start", "font-weight=\"bold\"", &title);
    y += 14.0;
    for (row, ratios) in table.ratios() {
        *body += &text(LABELS - 8.0, y + BAR, "end", "", &row);
        for (name, colour) in COLOURS {
            let Some((_, ratio)) = ratios.iter().find(|(column, _)| *column == name) else {
                continue;
            };
            let length = ratio.min(LONGEST) / LONGEST * (WIDTH - LABELS - 160.0);
            *body += &format!(
                "<rect x=\"{LABELS}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{:.1}\" \
                 fill=\"{colour}\"/>\n",
                BAR - 2.0
            );
            let label = format!("{ratio:.2} {name}");
            *body += &text(LABELS + length + 6.0, y + BAR - 3.0, "start", "", &label);
            y += BAR;
        }
        y += 6.0;
    }
    y + 22.0
}

fn text(x: f64, y: f64, anchor: &str, more: &str, words: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {more}>{words}</text>\n")
}
