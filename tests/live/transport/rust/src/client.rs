//! A channel of its own, calls whose messages are bytes, and how often the channel was connected.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut};
use http::uri::PathAndQuery;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};

pub const MIB: usize = 1024 * 1024;
pub const PATIENT: Duration = Duration::from_secs(60);

/// What a check found.
#[derive(Debug)]
pub struct Wrong(pub String);

impl From<&str> for Wrong {
    fn from(why: &str) -> Self {
        Wrong(why.into())
    }
}

impl From<Status> for Wrong {
    fn from(status: Status) -> Self {
        Wrong(format!("{status:?}"))
    }
}

/// This library tells the end of its own patience as Cancelled.
pub fn given_up(wrong: Wrong) -> Result<(), Wrong> {
    if wrong.0.contains("Timeout expired") {
        Ok(())
    } else {
        Err(wrong)
    }
}

/// The message with this number, as the server makes and checks it.
pub fn fill(number: usize) -> Vec<u8> {
    vec![(number % 251) as u8; number * 7919 % 20481]
}

#[derive(Clone)]
pub struct Options {
    pub address: String,
    pub ca: String,
    pub checks: Vec<String>,
    pub sequential: usize,
    pub parallel: usize,
    pub messages: usize,
    pub idle: f64,
}

impl Options {
    pub fn read(given: &HashMap<String, String>) -> Self {
        let text = |name: &str, default: &str| given.get(name).cloned().unwrap_or_else(|| default.into());
        let number = |name: &str, default: &str| text(name, default).parse().expect("a number");
        Options {
            address: text("--address", ""),
            ca: text("--ca", ""),
            checks: text("--checks", "")
                .split(',')
                .filter(|name| !name.is_empty())
                .map(String::from)
                .collect(),
            sequential: number("--sequential", "10000"),
            parallel: number("--parallel", "1500"),
            messages: number("--messages", "2000"),
            idle: text("--idle", "12").parse().expect("seconds"),
        }
    }
}

/// Passes messages as bytes.
#[derive(Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut message = vec![0; from.remaining()];
        from.copy_to_slice(&mut message);
        Ok(Some(message))
    }
}

/// Dials, and counts how often.
#[derive(Clone)]
struct Dialer(Arc<AtomicUsize>);

impl tower_service::Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        self.0.fetch_add(1, Ordering::Relaxed);
        let address = uri.authority().expect("an address").to_string();
        Box::pin(async move {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            Ok(TokioIo::new(socket))
        })
    }
}

#[derive(Clone)]
pub struct Client {
    pub options: Options,
    grpc: Grpc<Channel>,
    dials: Arc<AtomicUsize>,
}

impl Client {
    pub fn connect(options: Options, pings: bool) -> Self {
        let scheme = if options.ca.is_empty() { "http" } else { "https" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", options.address)).expect("an address");
        if !options.ca.is_empty() {
            let ca = Certificate::from_pem(std::fs::read(&options.ca).expect("a certificate"));
            endpoint = endpoint
                .tls_config(ClientTlsConfig::new().ca_certificate(ca))
                .expect("a TLS setting");
        }
        if pings {
            let interval = Duration::from_secs(1);
            endpoint = endpoint.http2_keep_alive_interval(interval).keep_alive_while_idle(true);
        }
        let dials = Arc::new(AtomicUsize::new(0));
        let channel = endpoint.connect_with_connector_lazy(Dialer(dials.clone()));
        let grpc = Grpc::new(channel)
            .max_decoding_message_size(64 * MIB)
            .max_encoding_message_size(64 * MIB);
        Client { options, grpc, dials }
    }

    /// The same channel, with messages compressed both ways.
    pub fn zipping(&self) -> Self {
        let grpc = self.grpc.clone();
        let grpc = grpc
            .send_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Gzip);
        Client { grpc, ..self.clone() }
    }

    pub fn one_connection(&self) -> Result<(), Wrong> {
        match self.dials.load(Ordering::Relaxed) {
            1 => Ok(()),
            dials => Err(Wrong(format!("{dials} connections were used"))),
        }
    }

    pub async fn call(&self, name: &str, message: Vec<u8>) -> Result<Vec<u8>, Status> {
        self.call_with(name, message, MetadataMap::new(), Some(PATIENT)).await
    }

    pub async fn call_with(
        &self,
        name: &str,
        message: Vec<u8>,
        metadata: MetadataMap,
        limit: Option<Duration>,
    ) -> Result<Vec<u8>, Status> {
        let mut request = Request::new(message);
        *request.metadata_mut() = metadata;
        if let Some(limit) = limit {
            request.set_timeout(limit);
        }
        let mut grpc = self.grpc.clone();
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(format!("{error:?}")))?;
        grpc.unary(request, path(name), Raw)
            .await
            .map(|answer| answer.into_inner())
    }

    pub fn open(&self, name: &str, key: Option<String>, limit: Duration) -> Stream {
        let (sender, messages) = mpsc::channel(8);
        let mut request = Request::new(ReceiverStream::new(messages));
        request.set_timeout(limit);
        if let Some(key) = key {
            request.metadata_mut().insert("key", key.parse().expect("a header"));
        }
        let (grpc, path) = (self.grpc.clone(), path(name));
        let answers = tokio::spawn(async move {
            let mut grpc = grpc;
            grpc.ready()
                .await
                .map_err(|error| Status::unavailable(format!("{error:?}")))?;
            grpc.streaming(request, path, Raw)
                .await
                .map(|answer| answer.into_inner())
        });
        Stream {
            sender: Some(sender),
            answers: Some(Aborting(answers)),
        }
    }
}

fn path(name: &str) -> PathAndQuery {
    let full = if name.starts_with('/') {
        name.to_string()
    } else {
        format!("/live.Echo/{name}")
    };
    PathAndQuery::try_from(full).expect("a path")
}

type Answers = Result<Streaming<Vec<u8>>, Status>;

/// A call under way that ends when nobody waits for it any more.
struct Aborting(tokio::task::JoinHandle<Answers>);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The sending side of a stream; `answers` is the other one.
pub struct Stream {
    sender: Option<mpsc::Sender<Vec<u8>>>,
    answers: Option<Aborting>,
}

impl Stream {
    /// Does nothing when the stream is over.
    pub async fn send(&mut self, message: Vec<u8>) {
        let _ = self.sender().send(message).await;
    }

    pub fn sender(&self) -> mpsc::Sender<Vec<u8>> {
        self.sender.clone().expect("the stream was not ended")
    }

    /// Ends the sending side once all senders are gone.
    pub fn end(&mut self) {
        self.sender = None;
    }

    pub async fn answers(&mut self) -> Answers {
        let mut call = self.answers.take().expect("asked once");
        (&mut call.0).await.expect("no panic")
    }
}
