//! Random numbers and UUIDs. Within an evaluation, the same arguments give the same answer.

use std::collections::BTreeMap;

use regorus::Value;

use super::encoding::hex;
use super::operand::{integer, operands, text};
use super::{Builtin, Dependence, Failure, Outcome, Random, Surroundings};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("rand.intn", 2, intn).depending(Dependence::Random),
    Builtin::new("uuid.rfc4122", 1, uuid_rfc4122).depending(Dependence::Random),
    Builtin::new("uuid.parse", 1, uuid_parse),
];

/// 100 ns steps from the start of the Gregorian calendar, which UUIDs count from, to 1970.
const GREGORIAN_START: i64 = 0x01b2_1dd2_1381_4000;

fn intn(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [name, below] = operands(arguments)?;
    let (name, below) = (text(name, 1)?, integer(below, 2)?.unsigned_abs());
    surroundings.work.spend_on_new_text(name.len() + 64)?;
    if below == 0 {
        return Ok(Value::from(0));
    }
    if below > i64::MAX.unsigned_abs() {
        return Err(Failure::fatal("rand.intn: the number is out of range"));
    }
    let random = &mut surroundings.random;
    let number =
        surroundings.random_integers.entry((name.to_string(), below)).or_insert_with(|| random.below(below));
    Ok(Value::from(*number))
}

// === impl Random ===

impl Random {
    /// A number below another one, each as likely.
    fn below(&mut self, limit: u64) -> u64 {
        let fair = u64::MAX - u64::MAX % limit;
        loop {
            let number = self.next();
            if number < fair {
                return number % limit;
            }
        }
    }
}

fn uuid_rfc4122(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [key] = operands(arguments)?;
    surroundings.work.weigh(key)?;
    surroundings.work.spend(8)?;
    if let Some(uuid) = surroundings.uuids.get(key) {
        return Ok(uuid.clone());
    }
    let [high, low] = [surroundings.random.next(), surroundings.random.next()];
    let bits = u128::from(high) << 64 | u128::from(low);
    // Version 4, variant 10.
    let bits = bits & !(0xf << 76) | 4 << 76;
    let bits = bits & !(0b11 << 62) | 0b10 << 62;
    let uuid = Value::from(uuid::Uuid::from_u128(bits).to_string());
    surroundings.uuids.insert(key.clone(), uuid.clone());
    Ok(uuid)
}

/// Reads the four spellings that Google's library reads.
fn parse(text: &str) -> Option<[u8; 16]> {
    let text = match text.len() {
        45 => text.get(..9).filter(|prefix| prefix.eq_ignore_ascii_case("urn:uuid:")).and(text.get(9..))?,
        // What the braces really are is not looked at.
        38 => text.get(1..37)?,
        36 | 32 => text,
        _ => return None,
    };
    if text.len() == 36 && [8, 13, 18, 23].iter().any(|at| text.as_bytes().get(*at) != Some(&b'-')) {
        return None;
    }
    let digits: String = match text.len() {
        36 => text
            .char_indices()
            .filter(|(at, _)| ![8, 13, 18, 23].contains(at))
            .map(|(_, char)| char)
            .collect(),
        _ => text.to_owned(),
    };
    let plain = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u128::from_str_radix(&digits, 16).ok()).flatten().map(u128::to_be_bytes)
}

fn uuid_parse(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let text = text(value, 1)?;
    surroundings.work.spend(16)?;
    let bytes = parse(text).ok_or_else(|| Failure::undefined("invalid UUID"))?;
    let [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, node @ ..] = bytes;
    let version = b6 >> 4;
    let variant = match b8 {
        0b1000_0000..=0b1011_1111 => "RFC4122",
        0b1100_0000..=0b1101_1111 => "Microsoft",
        0b1110_0000..=0b1111_1111 => "Future",
        _ => "Reserved",
    };
    let mut fields = BTreeMap::from([
        (Value::from("version"), Value::from(u64::from(version))),
        (Value::from("variant"), Value::from(variant)),
    ]);
    if matches!(version, 1 | 2) {
        let [first, ..] = node;
        let cast = match first & 0b11 {
            0b11 => "local:multicast",
            0b01 => "global:multicast",
            0b10 => "local:unicast",
            _ => "global:unicast",
        };
        let nodes: Vec<String> = node.iter().map(|byte| hex(&[*byte])).collect();
        let ticks = i64::from_be_bytes([b6 & 0x0f, b7, b4, b5, b0, b1, b2, b3]) - GREGORIAN_START;
        let time = ticks.wrapping_mul(100);
        fields.extend([
            (Value::from("time"), Value::from(time)),
            (Value::from("nodeid"), Value::from(nodes.join("-"))),
            (Value::from("macvariables"), Value::from(cast)),
            (Value::from("clocksequence"), Value::from(i64::from(b8 & 0x3f) << 8 | i64::from(b9))),
        ]);
        if version == 2 {
            let domain = match b9 {
                0 => "Person".to_owned(),
                1 => "Group".to_owned(),
                2 => "Org".to_owned(),
                other => format!("Domain{other}"),
            };
            fields.insert(Value::from("id"), Value::from(u64::from(u32::from_be_bytes([b0, b1, b2, b3]))));
            fields.insert(Value::from("domain"), Value::from(domain));
        }
    }
    Ok(Value::from(fields))
}
