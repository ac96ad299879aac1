//! A gRPC server with health and reflection around one service, and the program
//! around it.

use std::{env, error::Error, process::ExitCode, time::Duration};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    time::sleep,
};
use tonic::{
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::ServingStatus;

/// How long a stop waits for calls under way. Only a client that watches the
/// health never hangs up by itself.
const STOP_GRACE: Duration = Duration::from_secs(2);

const HEALTH: &str = "grpc.health.v1.Health";

/// What is served: a service under its full name, and the descriptors from which
/// others learn its types.
pub struct Service {
    pub name: &'static str,
    pub routes: Routes,
    pub descriptors: &'static [u8],
}

/// All of a program: it serves at `--listen`, or at `address`, until SIGTERM or
/// SIGINT, and lets calls under way finish.
pub async fn main(name: &str, address: &str, service: Service) -> ExitCode {
    match run(name, address, service).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name} ended: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(name: &str, address: &str, service: Service) -> Result<(), Box<dyn Error>> {
    let address = listen(env::args().skip(1), address)?;
    let listener = TcpListener::bind(&address).await.map_err(|why| format!("--listen {address}: {why}"))?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let routes = describe(service).await?;
    eprintln!("{name} answers at {}", listener.local_addr()?);

    let (stop, stopped) = oneshot::channel::<()>();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving = Server::builder()
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, async { stopped.await.unwrap_or_default() });
    let cut_off = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = stop.send(());
        sleep(STOP_GRACE).await;
    };
    tokio::select! {
        ended = serving => Ok(ended?),
        () = cut_off => Ok(()),
    }
}

/// Adds health, and reflection, to the service.
async fn describe(service: Service) -> Result<Routes, Box<dyn Error>> {
    let (state, health) = tonic_health::server::health_reporter();
    state.set_service_status(service.name, ServingStatus::Serving).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(service.descriptors)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(service.name)
        .with_service_name(HEALTH)
        .build_v1()?;
    Ok(service.routes.add_service(health).add_service(reflection))
}

fn listen(mut args: impl Iterator<Item = String>, otherwise: &str) -> Result<String, String> {
    match (args.next().as_deref(), args.next(), args.next()) {
        (None, _, _) => Ok(otherwise.to_string()),
        (Some("--listen"), Some(address), None) => Ok(address),
        (Some(first), _, _) => Err(format!("cannot make sense of {first:?}: want --listen HOST:PORT, or nothing")),
    }
}

#[cfg(test)]
mod tests {
    use super::listen;

    fn listening(args: &[&str]) -> Result<String, String> {
        listen(args.iter().map(ToString::to_string), "127.0.0.1:1")
    }

    #[test]
    fn listens_where_it_is_told() {
        assert_eq!(listening(&[]), Ok("127.0.0.1:1".to_string()));
        assert_eq!(listening(&["--listen", ":2"]), Ok(":2".to_string()));
        for wrong in [&["--listen"][..], &["--port", "2"], &["--listen", ":2", ":3"]] {
            assert!(listening(wrong).unwrap_err().contains("want --listen HOST:PORT"), "{wrong:?}");
        }
    }
}
