//! The `goldenpath` program.

fn main() -> std::process::ExitCode {
    goldenpath::cli::main()
}
