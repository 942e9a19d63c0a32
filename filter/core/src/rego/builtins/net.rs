//! Ranges of IP addresses. Addresses and networks are read as Go's `net` reads them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use regorus::Value;

use super::operand::{mismatch, operands, text};
use super::{Builtin, Failure, Outcome, Surroundings, Work};
use crate::rego::order::{sorted, sorted_entries};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("net.cidr_contains", 2, cidr_contains),
    Builtin::new("net.cidr_overlap", 2, cidr_contains),
    Builtin::new("net.cidr_contains_matches", 2, cidr_contains_matches),
    Builtin::new("net.cidr_intersects", 2, cidr_intersects),
    Builtin::new("net.cidr_is_valid", 1, cidr_is_valid),
    Builtin::new("net.cidr_expand", 1, cidr_expand),
    Builtin::new("net.cidr_merge", 1, cidr_merge),
];

/// A network: its first address, and how many bits of it are fixed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Network {
    first: u128,
    prefix: u32,
    is_v4: bool,
}

/// IPv4 addresses are the last of `::ffff:0:0/96`, as in Go.
const V4_MAPPED: u128 = 0xffff_0000_0000;

fn address_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => V4_MAPPED | u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// Go reads neither leading zeros nor zones here.
fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

fn is_v4(bits: u128) -> bool {
    bits >> 32 == V4_MAPPED >> 32
}

// === impl Network ===

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address = parse_address(address)?;
        let (bits, is_v4) = match address {
            IpAddr::V4(_) => (32, true),
            IpAddr::V6(_) => (128, false),
        };
        // Digits alone, and leading zeros are nothing to Go.
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = prefix.trim_start_matches('0');
        let prefix =
            if digits.is_empty() { 0 } else { digits.parse().ok().filter(|prefix| *prefix <= bits)? };
        let network = Self { first: address_bits(address), prefix, is_v4 };
        Some(Self { first: network.first & !network.host_mask(), ..network })
    }

    fn of(value: &Value, position: usize, work: &mut Work) -> Result<Self, Failure> {
        let text = text(value, position)?;
        work.spend(2)?;
        Self::parse(text).ok_or_else(|| Failure::undefined(format!("invalid CIDR address: {text}")))
    }

    fn host_mask(self) -> u128 {
        let bits: u32 = if self.is_v4 { 32 } else { 128 };
        u128::MAX.checked_shr(128 - (bits - self.prefix)).unwrap_or(0)
    }

    fn last(self) -> u128 {
        self.first | self.host_mask()
    }

    /// Go compares addresses of a kind only; one of IPv6 that maps one of IPv4 is of IPv4.
    fn contains(self, address: u128) -> bool {
        is_v4(address) == self.is_v4 && (self.first..=self.last()).contains(&address)
    }

    /// A network written as IPv6 of addresses that map IPv4 ones: Go takes it for one of IPv4, in parts.
    fn is_mapped(self) -> bool {
        !self.is_v4 && is_v4(self.first)
    }
}

fn known(networks: &[Network]) -> Result<(), Failure> {
    if networks.iter().any(|network| network.is_mapped()) {
        return Err(Failure::fatal(
            "a network of addresses of IPv4 that is written as IPv6 is not known here",
        ));
    }
    Ok(())
}

fn cidr_contains(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [network, other] = operands(arguments)?;
    contains(network, other, &mut surroundings.work).map(Value::from)
}

fn contains(network: &Value, other: &Value, work: &mut Work) -> Result<bool, Failure> {
    let network = Network::of(network, 1, work)?;
    let other_text = text(other, 1)?;
    if let Some(address) = parse_address(other_text) {
        known(&[network])?;
        return Ok(network.contains(address_bits(address)));
    }
    let other = Network::of(other, 1, work)?;
    known(&[network, other])?;
    if !network.is_v4 && !other.is_v4 {
        return Ok(network.prefix <= other.prefix && network.first == other.first & !network.host_mask());
    }
    Ok(network.contains(other.first) && network.contains(other.last()))
}

fn cidr_intersects(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [left, right] = operands(arguments)?;
    let work = &mut surroundings.work;
    let (left, right) = (Network::of(left, 1, work)?, Network::of(right, 1, work)?);
    known(&[left, right])?;
    Ok(Value::from(left.contains(right.first) || right.contains(left.first)))
}

fn cidr_is_valid(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let Value::String(text) = value else { return Ok(Value::from(false)) };
    surroundings.work.spend_on_text(text.len())?;
    Ok(Value::from(Network::parse(text).is_some()))
}

/// The networks of a collection, each with what tells it from the others.
fn indexed(value: &Value, position: usize) -> Result<Vec<(Value, Value)>, Failure> {
    let network = |value: &Value| match value {
        Value::String(_) => Ok(value.clone()),
        Value::Array(items) if !items.is_empty() => Ok(items.first().cloned().unwrap_or(Value::Null)),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Set(_)
        | Value::Object(_)
        | Value::Undefined => {
            Err(Failure::undefined(format!("operand {position}: element must be string or non-empty array")))
        }
    };
    match value {
        Value::String(_) => Ok(vec![(value.clone(), value.clone())]),
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, item)| Ok((network(item)?, Value::from(at)))).collect()
        }
        Value::Set(items) => {
            sorted(items.iter()).into_iter().map(|item| Ok((network(item)?, item.clone()))).collect()
        }
        Value::Object(entries) => sorted_entries(entries.iter())
            .into_iter()
            .map(|(key, value)| Ok((network(value)?, key.clone())))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Undefined => Ok(Vec::new()),
    }
}

fn cidr_contains_matches(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [networks, others] = operands(arguments)?;
    let work = &mut surroundings.work;
    work.weigh(networks)?;
    work.weigh(others)?;
    let networks = indexed(networks, 1)?;
    // Where there is nothing to hold, OPA does not look at what would be held.
    let others = if networks.is_empty() { Vec::new() } else { indexed(others, 2)? };
    let mut matches = BTreeSet::new();
    for (network, index) in &networks {
        for (other, other_index) in &others {
            if contains(network, other, work)? {
                work.weigh(other_index)?;
                matches.insert(Value::from(vec![index.clone(), other_index.clone()]));
            }
        }
    }
    Ok(Value::from(matches))
}

fn address_text(bits: u128) -> String {
    if is_v4(bits) {
        Ipv4Addr::from((bits & u128::from(u32::MAX)) as u32).to_string()
    } else {
        Ipv6Addr::from(bits).to_string()
    }
}

fn cidr_expand(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let work = &mut surroundings.work;
    let network = Network::of(value, 1, work)?;
    known(&[network])?;
    let count = u64::try_from(network.host_mask()).ok().and_then(|count| count.checked_add(1));
    work.spend(count.and_then(|count| count.checked_mul(8)).ok_or(Failure::OutOfBudget)?)?;
    Ok(Value::from(
        (network.first..=network.last())
            .map(|address| Value::from(address_text(address)))
            .collect::<BTreeSet<_>>(),
    ))
}

fn cidr_merge(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let work = &mut surroundings.work;
    work.weigh(value)?;
    let Some(items) = super::operand::elements(value) else {
        return Err(mismatch(1, "array", value));
    };
    let mut networks = Vec::new();
    for item in items {
        let text = text(item, 1)?;
        work.spend(8)?;
        networks.push(match parse_address(text) {
            Some(address) if is_v4(address_bits(address)) => classful(address_bits(address)),
            Some(_) => return Err(Failure::undefined("IPv6 invalid: needs prefix length")),
            None => Network::of(item, 1, work)?,
        });
    }
    known(&networks)?;
    if networks.iter().any(|network| network.is_v4) && networks.iter().any(|network| !network.is_v4) {
        // OPA's arithmetic on neighbours does not keep the two kinds apart.
        return Err(Failure::fatal("networks of IPv4 and IPv6 cannot be merged together here"));
    }
    Ok(Value::from(merged(networks, work)?))
}

/// An address alone stands for the network of its class.
fn classful(address: u128) -> Network {
    let first_byte = (address >> 24 & 0xff) as u8;
    let prefix = match first_byte {
        0..=127 => 8,
        128..=191 => 16,
        _ => 24,
    };
    Network { first: address, prefix, is_v4: true }
}

fn merged(networks: Vec<Network>, work: &mut Work) -> Result<BTreeSet<Value>, Failure> {
    // Each range with the network that it is, unless it was merged.
    let mut ranges: Vec<(u128, u128, Option<Network>)> = networks
        .into_iter()
        .map(|network| (network.first & !network.host_mask(), network.last(), Some(network)))
        .collect();
    ranges.sort_by_key(|(first, last, _)| (*last, *first));
    let mut done: Vec<(u128, u128, Option<Network>)> = Vec::new();
    let mut above: Option<(u128, u128, Option<Network>)> = None;
    while let Some(below) = ranges.pop() {
        above = Some(match above {
            Some((first, last, _)) if previous(first) <= below.1 => (first.min(below.0), last, None),
            Some(range) => {
                done.push(range);
                below
            }
            None => below,
        });
    }
    done.extend(above);
    let mut texts = BTreeSet::new();
    for (first, last, network) in done {
        match network {
            // As it was given: of an address alone the bits of the host are kept.
            Some(network) => {
                texts.insert(Value::from(format!("{}/{}", address_text(network.first), network.prefix)));
            }
            None => cover(first, last, &mut texts, work)?,
        }
    }
    Ok(texts)
}

fn previous(address: u128) -> u128 {
    if address == 0 || address == V4_MAPPED { address } else { address - 1 }
}

/// The fewest networks that make up a range.
fn cover(first: u128, last: u128, texts: &mut BTreeSet<Value>, work: &mut Work) -> Result<(), Failure> {
    let bits = if is_v4(first) { 32 } else { 128 };
    let mut next = Some(first);
    while let Some(first) = next.filter(|first| *first <= last) {
        work.spend(8)?;
        let mut host_bits = first.trailing_zeros().min(bits);
        // The largest block that begins here and does not pass the end.
        let end = |host_bits: u32| first | u128::MAX.checked_shr(128 - host_bits).unwrap_or(0);
        while end(host_bits) > last {
            host_bits -= 1;
        }
        texts.insert(Value::from(format!("{}/{}", address_text(first), bits - host_bits)));
        next = end(host_bits).checked_add(1);
    }
    Ok(())
}
