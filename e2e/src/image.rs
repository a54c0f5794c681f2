//! The image of the operator as an OCI archive: one static program on nothing, made without Docker. Equal inputs give equal
//! bytes. Shapes: OCI image specification 1.1 (image-layout.md, manifest.md, config.md).

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context, Result};
/// How hard to compress.
pub use flate2::Compression;
use flate2::GzBuilder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::programs;

/// Where the program is in the image.
pub const PROGRAM: &str = "/goldenpath";
/// What goes with the program, from the top of the repository to the top of the image: its licence, and those of the crates
/// in it, which ask for that.
pub const DOCUMENTS: [&str; 2] = ["LICENSE", "THIRD-PARTY-NOTICES.txt"];
/// User and group, as in distroless images: nobody in particular, and not root.
pub const USER: &str = "65532:65532";

/// What an image says of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// Name with its tag, `goldenpath:0.1.0`
    pub reference: String,
    /// `amd64` or `arm64`
    pub architecture: String,
    /// Version of the program
    pub version: String,
    /// Commit that it was built of
    pub revision: String,
    /// Time of that commit, RFC 3339
    pub created: String,
}

impl About {
    fn labels(&self) -> Value {
        json!({
            "org.opencontainers.image.title": "goldenpath",
            "org.opencontainers.image.description": "Brings workloads onto paved-road defaults, without restarting or fighting anyone",
            "org.opencontainers.image.version": self.version,
            "org.opencontainers.image.revision": self.revision,
            "org.opencontainers.image.created": self.created,
            "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
        })
    }

    fn config(&self, layer: &str) -> Value {
        json!({
            "architecture": self.architecture,
            "os": "linux",
            "created": self.created,
            "config": {"Entrypoint": [PROGRAM], "Cmd": ["run"], "User": USER, "WorkingDir": "/", "Labels": self.labels()},
            "rootfs": {"type": "layers", "diff_ids": [layer]},
        })
    }
}

/// A part of an image under the name that its content gives it.
struct Blob {
    digest: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn of(bytes: Vec<u8>) -> Self {
        Self { digest: digest(&bytes), bytes }
    }

    fn json(value: &Value) -> Result<Self> {
        Ok(Self::of(serde_json::to_vec(value)?))
    }

    fn descriptor(&self, media_type: &str) -> Value {
        let media_type = format!("application/vnd.oci.image.{media_type}");
        json!({"mediaType": media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Writes the image of a program as an OCI archive; the answer is the digest of its manifest.
///
/// # Errors
/// When a document cannot be read, or the archive cannot be written.
pub fn write(program: &[u8], about: &About, archive: &Path) -> Result<String> {
    write_files(&[(PROGRAM, program)], Compression::best(), about, archive)
}

/// As [`write`], with what else a program needs: libraries, where it is not a static one.
///
/// # Errors
/// When the archive cannot be written.
pub fn write_files(files: &[(&str, &[u8])], compression: Compression, about: &About, archive: &Path) -> Result<String> {
    let layer = layer(files)?;
    let mut compressed = GzBuilder::new().mtime(0).write(Vec::new(), compression);
    compressed.write_all(&layer)?;
    let packed = Blob::of(compressed.finish()?);
    let config = Blob::json(&about.config(&digest(&layer)))?;
    let manifest = Blob::json(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.descriptor("config.v1+json"),
        "layers": [packed.descriptor("layer.v1.tar+gzip")],
        "annotations": about.labels(),
    }))?;
    let mut described = manifest.descriptor("manifest.v1+json");
    // containerd takes the name of the first, others the tag of the second
    described["annotations"] = json!({
        "io.containerd.image.name": about.reference,
        "org.opencontainers.image.ref.name": about.version,
    });
    described["platform"] = json!({"os": "linux", "architecture": about.architecture});
    let index =
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [described]});
    let file = std::fs::File::create(archive).with_context(|| format!("create {}", archive.display()))?;
    let mut tar = Builder::new(io::BufWriter::new(file));
    add(&mut tar, "oci-layout", 0o644, &serde_json::to_vec(&json!({"imageLayoutVersion": "1.0.0"}))?)?;
    add(&mut tar, "index.json", 0o644, &serde_json::to_vec(&index)?)?;
    for blob in [&manifest, &config, &packed] {
        add(&mut tar, &format!("blobs/sha256/{}", blob.digest.trim_start_matches("sha256:")), 0o644, &blob.bytes)?;
    }
    tar.into_inner()?.flush()?;
    Ok(manifest.digest)
}

/// The one layer: the program and its licences, and no folder, shell or certificate.
fn layer(files: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for (path, bytes) in files {
        add(&mut tar, path.trim_start_matches('/'), 0o555, bytes)?;
    }
    for name in DOCUMENTS {
        let text = std::fs::read(programs::repository().join(name)).with_context(|| format!("read {name}"))?;
        add(&mut tar, name, 0o444, &text)?;
    }
    Ok(tar.into_inner()?)
}

fn add(tar: &mut Builder<impl io::Write>, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    tar.append_data(&mut header, path, bytes).with_context(|| format!("add {path} to the archive"))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::io::Read as _;
    use std::process::Command;

    use flate2::read::GzDecoder;

    use super::*;

    fn about() -> About {
        About {
            reference: "goldenpath:0.1.0".to_owned(),
            architecture: "amd64".to_owned(),
            version: "0.1.0".to_owned(),
            revision: "0123456789abcdef".to_owned(),
            created: "2026-11-27T00:00:00Z".to_owned(),
        }
    }

    fn files(tar: impl io::Read) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(tar);
        let read = |entry: io::Result<tar::Entry<'_, _>>| {
            let mut entry = entry.unwrap();
            let (path, mode) = (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap());
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (path, (mode, bytes))
        };
        archive.entries().unwrap().map(read).collect()
    }

    #[test]
    fn equal_programs_make_equal_archives_whose_parts_are_what_their_names_say() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one.tar", "two.tar"].map(|name| folder.path().join(name));
        let digest = write(b"program", &about(), &one).unwrap();
        assert_eq!(write(b"program", &about(), &two).unwrap(), digest);
        let archive = std::fs::read(&one).unwrap();
        assert_eq!(archive, std::fs::read(&two).unwrap());
        assert_ne!(write(b"another", &about(), &two).unwrap(), digest);

        let parts = files(archive.as_slice());
        let blob = |digest: &Value| {
            let digest = digest.as_str().unwrap();
            let (_, bytes) = &parts[&format!("blobs/sha256/{}", digest.strip_prefix("sha256:").unwrap())];
            assert_eq!(super::digest(bytes), digest);
            bytes
        };
        let index: Value = serde_json::from_slice(&parts["index.json"].1).unwrap();
        assert_eq!(index["manifests"][0]["digest"], digest);
        let manifest: Value = serde_json::from_slice(blob(&index["manifests"][0]["digest"])).unwrap();
        let config: Value = serde_json::from_slice(blob(&manifest["config"]["digest"])).unwrap();
        assert_eq!(config["config"]["User"], USER);
        let mut layer = Vec::new();
        GzDecoder::new(blob(&manifest["layers"][0]["digest"]).as_slice()).read_to_end(&mut layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], super::digest(&layer));
        let content = files(layer.as_slice());
        assert_eq!(content["goldenpath"], (0o555, b"program".to_vec()));
        let modes: Vec<_> = content.iter().map(|(path, (mode, _))| (path.as_str(), *mode)).collect();
        assert_eq!(modes, [("LICENSE", 0o444), ("THIRD-PARTY-NOTICES.txt", 0o444), ("goldenpath", 0o555)]);
    }

    /// `make licenses` writes the notices, and takes too long for each run; whoever changes Cargo.lock is told here.
    #[test]
    fn the_notices_name_every_crate_in_the_program_and_no_other() {
        let notices = std::fs::read_to_string(programs::repository().join(DOCUMENTS[1])).unwrap();
        let theirs = |name: &&str| !name.starts_with("goldenpath ");
        let named: BTreeSet<&str> =
            notices.lines().filter_map(|line| line.strip_prefix("  - ")).filter(theirs).collect();
        let crates = |edges: &str| -> BTreeSet<String> {
            let tree = ["tree", "--package", "goldenpath", "--edges", edges, "--prefix", "none", "--format", "{p}"];
            let output = Command::new("cargo")
                .args(tree)
                .args(["--target", "x86_64-unknown-linux-gnu", "--target", "aarch64-unknown-linux-gnu", "--locked"])
                .current_dir(programs::repository())
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8(output.stdout).unwrap();
            let name = |line: &str| line.split(" (").next().unwrap_or_default().replacen(" v", " ", 1);
            text.lines().filter(|line| !line.is_empty()).map(name).filter(|name| theirs(&name.as_str())).collect()
        };
        let linked = crates("normal,no-proc-macro");
        let missing: Vec<_> = linked.iter().filter(|name| !named.contains(name.as_str())).collect();
        assert!(linked.len() > 100 && missing.is_empty(), "run `make licenses`, these are not named: {missing:?}");
        let known = crates("normal");
        let gone: Vec<_> = named.iter().filter(|name| !known.contains(**name)).collect();
        assert!(gone.is_empty(), "run `make licenses`, these are named and not there: {gone:?}");
    }

    /// The same content for those who have Docker.
    #[test]
    fn the_dockerfile_gives_the_same() {
        let text = std::fs::read_to_string(programs::repository().join("Dockerfile")).unwrap();
        let last = text.split("\nFROM ").last().unwrap();
        let words = |instruction: &str| -> Vec<String> {
            let lines = last.lines().filter_map(|line| line.strip_prefix(instruction));
            lines.map(|line| line.trim().to_owned()).collect()
        };
        assert!(last.starts_with("scratch\n"), "{last}");
        let copied = words("COPY ");
        let targets: Vec<&str> = copied.iter().filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(targets, [PROGRAM, "/LICENSE", "/THIRD-PARTY-NOTICES.txt"]);
        assert_eq!(words("USER "), [USER]);
        assert_eq!(words("ENTRYPOINT "), [json!([PROGRAM]).to_string()]);
        assert_eq!(words("CMD "), [json!(["run"]).to_string()]);
        assert!(words("ADD ").is_empty() && words("RUN ").is_empty());
        for label in about().labels().as_object().unwrap().keys() {
            assert!(last.contains(label.as_str()), "no {label}");
        }
    }
}
