//! The figures as a table: a policy a line, an evaluator a column, ours first.

use std::collections::BTreeMap;

/// What `micro` printed, in its order.
pub(crate) struct Figures {
    lines: Vec<String>,
    /// By the policy and the evaluator.
    values: BTreeMap<(String, String), String>,
}

const EVALUATORS: [&str; 5] =
    ["ours", "ours without index", "regorus interpreter", "regorus machine", "compile"];

// === impl Figures ===

impl Figures {
    pub(crate) fn read(text: &str) -> Self {
        let mut figures = Self { lines: Vec::new(), values: BTreeMap::new() };
        for (name, value) in text.lines().filter_map(|line| line.split_once('\t')) {
            let (policy, evaluator) = name.split_once(": ").unwrap_or((name, "ours"));
            if figures.lines.last().is_none_or(|last| last != policy) {
                figures.lines.push(policy.to_owned());
            }
            figures.values.insert((policy.to_owned(), evaluator.to_owned()), value.to_owned());
        }
        figures
    }

    pub(crate) fn print(&self) {
        print!("{:<28}", "");
        EVALUATORS.iter().for_each(|evaluator| print!("{evaluator:>21}"));
        println!("{:>14}", "times 10");
        for policy in &self.lines {
            print!("{policy:<28}");
            for evaluator in EVALUATORS {
                let value = self.values.get(&(policy.clone(), evaluator.to_owned()));
                print!("{:>21}", value.map_or("", String::as_str));
            }
            match self.ratio_to_ten(policy) {
                Some(ratio) => println!("{ratio:>14.2}"),
                None => println!(),
            }
        }
    }

    /// What our figure is next to that of the smallest policy of the kind: `1000 rules` next to `10 rules`.
    fn ratio_to_ten(&self, policy: &str) -> Option<f64> {
        let (_, kind) = policy.split_once(' ').filter(|(count, _)| count.parse::<u32>().is_ok())?;
        let ours = |policy: &str| {
            self.values
                .get(&(policy.to_owned(), "ours".to_owned()))
                .and_then(|value| value.parse::<f64>().ok())
        };
        Some(ours(policy)? / ours(&format!("10 {kind}"))?)
    }
}
