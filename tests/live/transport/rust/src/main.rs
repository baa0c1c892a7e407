//! A tonic client of the echo server: runs checks and prints one JSON line for each.

mod client;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use client::{fill, Client, Options, Wrong, MIB, PATIENT};
use tokio::sync::mpsc;
use tonic::metadata::{BinaryMetadataValue, MetadataMap};
use tonic::Code;

type Checked = Result<(), Wrong>;

const TEXT: &str = "Грешка 値 ✓ 100% \"a\"\n b\tc";

fn same(got: &[u8], want: &[u8]) -> Checked {
    if got == want {
        return Ok(());
    }
    let shown = |octets: &[u8]| String::from_utf8_lossy(&octets[..octets.len().min(60)]).into_owned();
    Err(Wrong(format!(
        "got {} bytes {}, want {} bytes {}",
        got.len(),
        shown(got),
        want.len(),
        shown(want)
    )))
}

fn ended<T>(result: Result<T, tonic::Status>, code: Code, text: Option<&str>) -> Checked {
    match result {
        Ok(_) => Err(Wrong(format!("the call did not fail with {code:?}"))),
        Err(status) if status.code() == code && text.is_none_or(|text| status.message() == text) => Ok(()),
        Err(status) => Err(Wrong(format!("ended with {status:?}, want {code:?} {text:?}"))),
    }
}

fn random(size: usize) -> Vec<u8> {
    let mut state = 7u64;
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 56) as u8
    })
    .take(size)
    .collect()
}

async fn echo(client: &Client, message: Vec<u8>) -> Checked {
    same(&client.call("Unary", message.clone()).await?, &message)
}

async fn unary(client: &Client) -> Checked {
    echo(client, b"hello".to_vec()).await
}

async fn empty(client: &Client) -> Checked {
    echo(client, vec![]).await
}

async fn metadata(client: &Client) -> Checked {
    let every: Vec<u8> = (0..=255).collect();
    let long = "x".repeat(5000);
    let plain = "a value, with ~ signs";
    let mut pairs = MetadataMap::new();
    pairs.insert("plain", plain.parse().unwrap());
    pairs.insert("long", long.parse().unwrap());
    pairs.insert_bin("some-bin", BinaryMetadataValue::from_bytes(&every));
    pairs.insert_bin("none-bin", BinaryMetadataValue::from_bytes(b""));
    let sent: [(&str, &[u8]); 4] = [
        ("plain", plain.as_bytes()),
        ("some-bin", &every),
        ("none-bin", b""),
        ("long", long.as_bytes()),
    ];
    for _ in 0..3 {
        for (name, value) in sent {
            let got = client
                .call_with("Metadata", name.into(), pairs.clone(), Some(PATIENT))
                .await?;
            same(&got, value)?;
        }
    }
    let absent = client
        .call_with("Metadata", b"absent".to_vec(), pairs, Some(PATIENT))
        .await;
    ended(absent, Code::NotFound, Some("no absent"))
}

async fn statuses(client: &Client) -> Checked {
    for code in 1..=16 {
        for text in ["", "plain", TEXT] {
            let failed = client.call("Fail", format!("{code} {text}").into_bytes()).await;
            ended(failed, Code::from_i32(code), Some(text))?;
        }
    }
    Ok(())
}

async fn crash(client: &Client) -> Checked {
    ended(client.call("Crash", b"x".to_vec()).await, Code::Internal, None)?;
    unary(client).await
}

async fn unknown(client: &Client) -> Checked {
    let method = client.call("Nothing", b"x".to_vec()).await;
    ended(
        method,
        Code::Unimplemented,
        Some("unknown method Nothing for service live.Echo"),
    )?;
    let service = client.call("/live.Nobody/Unary", b"x".to_vec()).await;
    ended(service, Code::Unimplemented, Some("unknown service live.Nobody"))
}

async fn big4(client: &Client) -> Checked {
    echo(client, random(4 * MIB)).await
}

async fn big30(client: &Client) -> Checked {
    echo(client, random(30 * MIB)).await
}

async fn limit(client: &Client) -> Checked {
    ended(
        client.call("Unary", vec![0; 33 * MIB]).await,
        Code::ResourceExhausted,
        None,
    )?;
    unary(client).await
}

async fn gzip(client: &Client) -> Checked {
    let zipping = client.zipping();
    for message in [vec![], vec![0; MIB], random(300_000)] {
        echo(&zipping, message).await?;
    }
    Ok(())
}

async fn bomb(client: &Client) -> Checked {
    ended(
        client.zipping().call("Unary", vec![0; 40 * MIB]).await,
        Code::ResourceExhausted,
        None,
    )?;
    unary(client).await
}

async fn push(client: &Client) -> Checked {
    let messages = client.options.messages;
    let mut stream = client.open("Push", None, PATIENT);
    stream.send(messages.to_string().into_bytes()).await;
    stream.end();
    let mut answers = stream.answers().await?;
    for number in 0..messages {
        same(&answers.message().await?.ok_or("it ended")?, &fill(number))?;
    }
    answers.message().await?.map_or(Ok(()), |_| Err("there is more".into()))
}

async fn count(client: &Client) -> Checked {
    let messages = client.options.messages;
    let mut stream = client.open("Count", None, PATIENT);
    let mut size = 0;
    for number in 0..messages {
        size += fill(number).len();
        stream.send(fill(number)).await;
    }
    stream.end();
    let mut answers = stream.answers().await?;
    same(
        &answers.message().await?.ok_or("it ended")?,
        format!("{messages} {size}").as_bytes(),
    )?;
    answers.message().await?.map_or(Ok(()), |_| Err("there is more".into()))
}

async fn chat(client: &Client) -> Checked {
    let messages = client.options.messages;
    let mut stream = client.open("Chat", None, PATIENT);
    let sender = stream.sender();
    stream.end();
    tokio::spawn(async move {
        for number in 0..messages {
            if sender.send(fill(number)).await.is_err() {
                return;
            }
        }
    });
    let mut answers = stream.answers().await?;
    for number in 0..messages {
        same(&answers.message().await?.ok_or("it ended")?, &fill(number))?;
    }
    answers.message().await?.map_or(Ok(()), |_| Err("there is more".into()))
}

async fn early(client: &Client) -> Checked {
    for _ in 0..5 {
        let mut stream = client.open("Early", None, PATIENT);
        flood(stream.sender());
        stream.end();
        let mut answers = stream.answers().await?;
        let mut number = 0;
        let end = loop {
            match answers.message().await {
                Ok(Some(_)) => number += 1,
                other => break other,
            }
        };
        ended(end, Code::OutOfRange, Some("достаточно ✓"))?;
        same(&[number], &[3])?;
    }
    unary(client).await
}

/// Sends more than anybody wants to read, beside whoever reads the answers.
fn flood(sender: mpsc::Sender<Vec<u8>>) {
    tokio::spawn(async move {
        for _ in 0..500 {
            if sender.send(vec![b'x'; 20_000]).await.is_err() {
                return;
            }
        }
    });
}

async fn broken(client: &Client) -> Checked {
    let mut stream = client.open("Broken", None, PATIENT);
    stream.send(b"x".to_vec()).await;
    stream.send(b"x".to_vec()).await;
    let mut answers = stream.answers().await?;
    same(&answers.message().await?.ok_or("it ended")?, b"x")?;
    if answers.message().await?.is_some() {
        return Err("there is a second answer".into());
    }
    unary(client).await
}

async fn refused(client: &Client) -> Checked {
    let mut stream = client.open("Refused", None, PATIENT);
    flood(stream.sender());
    stream.end();
    ended(stream.answers().await, Code::PermissionDenied, Some("не для вас"))
}

async fn deadline(client: &Client) -> Checked {
    let began = Instant::now();
    let late = client
        .call_with(
            "Later",
            b"5000".to_vec(),
            MetadataMap::new(),
            Some(Duration::from_millis(200)),
        )
        .await;
    ended(late, Code::DeadlineExceeded, None).or_else(client::given_up)?;
    if began.elapsed() > Duration::from_secs(3) {
        return Err("it took more than 3 s".into());
    }
    for seconds in [180_000, 60, 30, 10] {
        let limit = Some(Duration::from_secs(seconds));
        same(
            &client
                .call_with("Unary", b"hello".to_vec(), MetadataMap::new(), limit)
                .await?,
            b"hello",
        )?;
    }
    Ok(())
}

fn key(name: &str) -> String {
    format!("{name}-rs-{}", std::process::id())
}

/// Waits until all streams of a key that reached the server are over there.
async fn over(client: &Client, name: &str, least: u32) -> Checked {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let known = String::from_utf8(client.call("Lives", key(name).into_bytes()).await?).unwrap();
        let (opened, closed) = known.split_once(' ').ok_or("no two numbers")?;
        if opened == closed && opened.parse::<u32>().is_ok_and(|opened| opened >= least) {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(Wrong(format!(
                "the server knows {opened} streams of which {closed} are over"
            )));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn deadline_of_stream(client: &Client) -> Checked {
    let mut stream = client.open("Hold", Some(key("deadline")), Duration::from_millis(700));
    stream.send(b"here".to_vec()).await;
    let mut answers = stream.answers().await?;
    same(&answers.message().await?.ok_or("it ended")?, b"here")?;
    ended(answers.message().await, Code::DeadlineExceeded, None).or_else(client::given_up)?;
    drop(answers);
    over(client, "deadline", 1).await
}

async fn cancel(client: &Client) -> Checked {
    let mut stream = client.open("Hold", Some(key("cancel")), PATIENT);
    stream.send(b"here".to_vec()).await;
    let mut answers = stream.answers().await?;
    same(&answers.message().await?.ok_or("it ended")?, b"here")?;
    drop(answers);
    drop(stream);
    over(client, "cancel", 1).await
}

async fn sequential(client: &Client) -> Checked {
    let message = random(200);
    for _ in 0..client.options.sequential {
        echo(client, message.clone()).await?;
    }
    Ok(())
}

async fn parallel(client: &Client) -> Checked {
    let calls: Vec<_> = (0..client.options.parallel)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call("Later", b"300".to_vec()).await })
        })
        .collect();
    for call in calls {
        same(&call.await.unwrap()?, b"300")?;
    }
    client.one_connection()
}

async fn cancels(client: &Client) -> Checked {
    for number in 0..300 {
        let mut stream = client.open("Hold", Some(key("cancels")), PATIENT);
        if number % 2 == 0 {
            stream.send(b"here".to_vec()).await;
        }
        let call = tokio::spawn(async move { stream.answers().await.map(|_| ()) });
        tokio::task::yield_now().await;
        call.abort();
    }
    over(client, "cancels", 0).await?;
    client.one_connection()
}

/// Beside the other checks, on connections of its own: one with a stream, one without.
async fn idle(options: Options) -> Checked {
    let (client, without) = (
        Client::connect(options.clone(), true),
        Client::connect(options.clone(), true),
    );
    let silence = Duration::from_secs_f64(options.idle);
    let mut stream = client.open("Hold", Some(key("idle")), silence + PATIENT);
    stream.send(b"here".to_vec()).await;
    let mut answers = stream.answers().await?;
    same(&answers.message().await?.ok_or("it ended")?, b"here")?;
    unary(&without).await?;
    tokio::time::sleep(silence).await;
    stream.send(b"again".to_vec()).await;
    same(&answers.message().await?.ok_or("it ended")?, b"again")?;
    unary(&without).await?;
    client.one_connection()?;
    without.one_connection()
}

fn say(check: &str, result: Checked, began: Instant) {
    let why = result.err().map_or(String::new(), |wrong| wrong.0);
    let quoted: String = why
        .chars()
        .map(|sign| if "\"\\\n\t".contains(sign) { '\'' } else { sign })
        .collect();
    let (ok, s) = (why.is_empty(), began.elapsed().as_secs_f64());
    println!(r#"{{"check": "{check}", "ok": {ok}, "why": "{quoted}", "s": {s}}}"#);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given: HashMap<String, String> = arguments
        .chunks(2)
        .map(|pair| (pair[0].clone(), pair.get(1).cloned().unwrap_or_default()))
        .collect();
    let options = Options::read(&given);
    let wanted = |name: &str| options.checks.is_empty() || options.checks.iter().any(|check| check == name);
    let began = Instant::now();
    let idled = wanted("idle").then(|| tokio::spawn(idle(options.clone())));
    let client = Client::connect(options.clone(), false);
    macro_rules! check {
        ($($name:ident),+) => {$(
            if wanted(stringify!($name)) {
                let began = Instant::now();
                say(stringify!($name), $name(&client).await, began);
            }
        )+};
    }
    check!(
        unary, empty, metadata, statuses, crash, unknown, big4, big30, limit, gzip, bomb, push, count, chat, early,
        broken, refused
    );
    check!(deadline, deadline_of_stream, cancel, sequential, parallel, cancels);
    if let Some(idled) = idled {
        say(
            "idle",
            idled.await.unwrap_or_else(|panic| Err(Wrong(panic.to_string()))),
            began,
        );
    }
}
