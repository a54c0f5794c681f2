//! Free loopback ports. Another process can take one before our child binds it, so callers start again when a log says so.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// How often a start is tried when a port was taken in between.
pub const ATTEMPTS: usize = 3;

/// `N` different ports that are free on 127.0.0.1 now.
///
/// # Errors
/// When the system has no free port.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    // All listeners are held until the last port is known; one after the other could give the same port twice.
    let mut listeners = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port on 127.0.0.1")?;
        *port = listener.local_addr().context("read the port of a listener")?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

/// Whether a program's log says that it could not bind; Go and Rust word the same system error alike but for case.
#[must_use]
pub fn taken(log: &str) -> bool {
    log.to_ascii_lowercase().contains("address already in use")
}
