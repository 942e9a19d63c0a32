//! Builds the filter: `cargo wasm`.

fn main() -> anyhow::Result<()> {
    let filter = filter_build::filter()?;
    eprintln!("{}, {} bytes", filter.display(), std::fs::metadata(&filter)?.len());
    Ok(())
}
