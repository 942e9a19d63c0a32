//! Packs the catalog's table: what is shipped to each Envoy has half its size.

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::Write,
    path::Path,
};

use flate2::{Compression, write::ZlibEncoder};

const TABLE: &str = "catalog/catalog.bin";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={TABLE}");
    let packed = Path::new(&env::var("OUT_DIR")?).join("catalog.bin.z");
    let mut encoder = ZlibEncoder::new(File::create(packed)?, Compression::best());
    encoder.write_all(&fs::read(TABLE)?)?;
    encoder.finish()?;
    Ok(())
}
