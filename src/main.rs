//! The `goldenpath` program.

/// The first look at a fleet leaves gaps all over the heap, which the C library's allocator keeps: half as much again as what
/// is in use. This one gives them back; its settings are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    goldenpath::cli::main()
}
