//! Makes Rust of the contract's protos and the examples', and the descriptors
//! that reflection tells others. It needs no protoc.

use std::{env, error::Error, fs, path::Path};

use protox::Compiler;
use tonic_prost_build::Config;

const CONTRACT: &str = "../../../proto";
const EXAMPLES: &str = "../../proto";
const FILES: [(&str, &str); 4] = [
    (CONTRACT, "angzarr/angzarr.proto"),
    (EXAMPLES, "inventory/inventory.proto"),
    (EXAMPLES, "inventorysummary/inventorysummary.proto"),
    (EXAMPLES, "order/order.proto"),
];

fn main() -> Result<(), Box<dyn Error>> {
    for (folder, file) in FILES {
        println!("cargo::rerun-if-changed={folder}/{file}");
    }
    let mut compiler = Compiler::new([CONTRACT, EXAMPLES])?;
    compiler.include_imports(true).open_files(FILES.map(|(_, file)| file))?;
    let descriptors = Path::new(&env::var("OUT_DIR")?).join("descriptors.bin");
    fs::write(descriptors, compiler.encode_file_descriptor_set())?;

    let mut config = Config::new();
    config.enable_type_names().type_name_domain(["."], "type.googleapis.com").btree_map(["."]);
    tonic_prost_build::configure()
        .build_client(false)
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    Ok(())
}
