//! Every command block and every manifest of the README and of the documentation, run in the order in which they stand.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use goldenpath_e2e::chart::RELEASE;
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::{ControlPlane, Operator, Options, programs};

/// A fenced block of a document.
#[derive(Debug, PartialEq)]
struct Block {
    /// File and line
    place: String,
    /// What stands behind the opening fence
    language: String,
    text: String,
}

/// The documents that users read; the README first, since the others build on what it installs.
const DOCUMENTS: [&str; 2] = ["README.md", "charts/goldenpath/README.md"];

fn documents() -> Result<Vec<String>> {
    let mut names: Vec<String> = DOCUMENTS.map(str::to_owned).into();
    let mut docs = Vec::new();
    for entry in std::fs::read_dir(programs::repository().join("docs"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        docs.extend(
            Path::new(&name).extension().is_some_and(|extension| extension == "md").then(|| format!("docs/{name}")),
        );
    }
    docs.sort();
    names.extend(docs);
    Ok(names)
}

fn blocks(name: &str, document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in document.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => blocks.push(block),
            (Some(language), None) => {
                let place = format!("{name}:{}", number + 1);
                open = Some(Block { place, language: language.to_owned(), text: String::new() });
            }
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    blocks
}

#[test]
fn blocks_are_found_with_their_place_and_language() {
    let found = blocks("a.md", "x\n```\nls\n```\n\n```yaml\na: b\nc: d\n```\n");
    let block = |place: &str, language: &str, text: &str| Block {
        place: place.into(),
        language: language.into(),
        text: text.into(),
    };
    assert_eq!(found, [block("a.md:2", "", "ls\n"), block("a.md:6", "yaml", "a: b\nc: d\n")]);
}

/// What of a block was done.
enum Done {
    /// Its commands were run, or its manifest was applied
    Run,
    /// It calls the Makefile, whose targets have tests of their own
    Make,
    /// Output or a picture
    Shown,
}

#[tokio::test]
async fn every_command_of_the_documents_works_as_it_stands_there() -> Result<()> {
    let control_plane = ControlPlane::start(Options::default()).await?;
    let (mut run, mut made, mut pods) = (0, 0, Pods::default());
    for name in documents()? {
        let path = programs::repository().join(&name);
        let document = std::fs::read_to_string(&path).with_context(|| format!("read {name}"))?;
        for block in blocks(&name, &document) {
            let done = follow(&control_plane, &block, &mut pods).await;
            match done.with_context(|| format!("{}\n{}", block.place, block.text))? {
                Done::Run => run += 1,
                Done::Make => made += 1,
                Done::Shown => {}
            }
        }
    }
    println!("docs: {run} blocks of commands and manifests run, {made} call the Makefile");
    ensure!(run >= 12 && pods.installed == 1, "{run} blocks, {} installations", pods.installed);
    ensure!(pods.operator.is_some(), "some page leaves a cluster without an operator to the next one");
    Ok(())
}

/// Pods do nothing on simulated nodes: what they would do is done here.
#[derive(Default)]
struct Pods {
    operator: Option<Operator>,
    installed: usize,
}

impl Pods {
    /// Does what the pods would do after these commands.
    async fn follow(&mut self, control_plane: &ControlPlane, commands: &str) -> Result<()> {
        let scaled = |replicas: u8| {
            commands.lines().any(|line| {
                line.starts_with("kubectl scale ")
                    && line.ends_with(&format!("deployment/goldenpath --replicas={replicas}"))
            })
        };
        if commands.contains(&format!("helm install {RELEASE} ")) {
            self.operator = Some(control_plane.run_chart_pods().await?);
            self.installed += 1;
        } else if scaled(0) {
            self.operator.take().context("there is no operator to stop")?.terminate().await?;
        } else if scaled(1) {
            let kubeconfig = control_plane.as_account(NAMESPACE, ACCOUNT).await?;
            self.operator = Some(control_plane.start_operator(kubeconfig).await?);
        }
        Ok(())
    }
}

async fn follow(control_plane: &ControlPlane, block: &Block, pods: &mut Pods) -> Result<Done> {
    match block.language.as_str() {
        "" | "sh" => {}
        "yaml" => {
            control_plane.apply(&block.text).await?;
            return Ok(Done::Run);
        }
        "text" | "mermaid" => return Ok(Done::Shown),
        other => anyhow::bail!("a block in `{other}`: commands have none, manifests `yaml`, output `text`"),
    }
    if block.text.lines().all(|line| line.starts_with("make ")) {
        return Ok(Done::Make);
    }
    let root = programs::repository().display();
    let said = control_plane.shell(&format!("cd '{root}'\n{}", block.text)).await?.success()?;
    println!("{}\n{}{said}", block.place, block.text);
    pods.follow(control_plane, &block.text).await?;
    Ok(Done::Run)
}
