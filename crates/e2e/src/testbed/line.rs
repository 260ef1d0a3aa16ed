//! A line to a server: a TCP proxy on loopback that counts what passes, and delays, throttles, cuts and corrupts it.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context;

/// Most that is read at once; the most that a cut costs beyond what the server has.
const CHUNK: usize = 64 * 1024;

/// 16 MiB in chunks: more than any line here holds, so that a delay alone limits no throughput.
const UNDER_WAY: usize = 256;

/// What a line does to its connections; by default it only counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    pub cut: Cut,
    /// From sending a byte to seeing the answer to it. A new connection pays it once more, for TCP's handshake.
    pub round_trip: Duration,
    /// In each direction, over all connections.
    pub bytes_per_second: Option<u64>,
    /// Flips a bit of this byte to the server, counted from 0 over all connections.
    pub corrupt: Option<u64>,
}

/// When connections are cut. Bytes are those to the server, over all connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cut {
    #[default]
    Never,
    /// All connections, whenever so many more bytes have passed.
    AllEvery(u64),
    /// The connection that brings this byte, once.
    OneAfter(u64),
}

/// What has passed so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Bytes from clients.
    pub sent: u64,
    /// Bytes from the server.
    pub received: u64,
    pub connections: u64,
    /// How often connections were cut, all of them at once being one time.
    pub cuts: u64,
}

/// A running line; dropped it closes all its connections.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    passed: Passed,
    is_closed: bool,
    /// When each direction is free again, to the server and from it.
    free: [Instant; 2],
    /// Both ends of open connections, by number.
    open: BTreeMap<u64, [TcpStream; 2]>,
}

impl Line {
    /// A line to this address, which need not be listening yet.
    pub fn start(to: SocketAddr, faults: Faults) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
        let address = listener.local_addr().context("a listener has no address")?;
        let (passed, free) = (Passed::default(), [Instant::now(); 2]);
        let state = State { faults, passed, is_closed: false, free, open: BTreeMap::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state) });
        let acceptor = thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, to, &shared)
        });
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// `127.0.0.1:PORT`, where clients connect.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// From now on nothing goes wrong: a client that was cut off goes on at the same address.
    pub fn mend(&self) {
        self.shared.state().faults = Faults::default();
    }

    pub fn passed(&self) -> Passed {
        self.shared.state().passed
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.state().is_closed = true;
        // Wakes the acceptor, which then sees that it is to stop.
        let _ = TcpStream::connect(self.address);
        self.shared.state().open.retain(|_, ends| cut(ends));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Closes both ends, and says that the connection is no longer open. What has reached the server it still reads.
fn cut(ends: &[TcpStream; 2]) -> bool {
    for end in ends {
        // One whose other side has gone needs no more.
        let _ = end.shutdown(Shutdown::Both);
    }
    false
}

fn accept(listener: &TcpListener, to: SocketAddr, shared: &Shared) {
    thread::scope(|scope| {
        for (number, client) in listener.incoming().enumerate() {
            if shared.state().is_closed {
                return;
            }
            let Ok(client) = client else { continue };
            scope.spawn(move || {
                // A client whose server cannot be reached sees its connection closed.
                let _ = shared.carry(number as u64, &client, to);
            });
        }
    });
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

/// Bytes on their way.
#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    arrival: Instant,
    /// What is cut once these bytes have arrived.
    then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    CutThis,
    CutAll,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries a connection to its end.
    fn carry(&self, number: u64, client: &TcpStream, to: SocketAddr) -> io::Result<()> {
        let round_trip = self.state().faults.round_trip;
        let ready = Instant::now() + round_trip;
        let server = &TcpStream::connect(to)?;
        for end in [client, server] {
            end.set_nodelay(true)?;
        }
        let ends = [client.try_clone()?, server.try_clone()?];
        {
            let mut state = self.state();
            if state.is_closed {
                return Ok(());
            }
            state.passed.connections += 1;
            state.open.insert(number, ends);
        }
        thread::scope(|scope| {
            for (way, from, to) in [(Way::ToServer, client, server), (Way::ToClient, server, client)] {
                // Without a delay a cut loses next to nothing: what was taken from a client is with the server.
                let depth = if round_trip.is_zero() { 0 } else { UNDER_WAY };
                let (enter, leave) = mpsc::sync_channel(depth);
                scope.spawn(move || self.take(number, way, from, (ready, round_trip / 2), &enter));
                scope.spawn(move || self.give(number, to, &leave));
            }
        });
        self.state().open.remove(&number);
        Ok(())
    }

    /// Puts what comes from one end on the line, until nothing comes; then the line ends, and with it the other end.
    fn take(
        &self,
        number: u64,
        way: Way,
        mut from: &TcpStream,
        (ready, delay): (Instant, Duration),
        line: &SyncSender<Chunk>,
    ) {
        let mut buffer = vec![0; CHUNK];
        while let Ok(amount @ 1..) = from.read(&mut buffer) {
            let Some((free, mut chunk)) = self.state().pass(number, way, &buffer[..amount]) else {
                return;
            };
            thread::sleep(free.saturating_duration_since(Instant::now()));
            chunk.arrival = free.max(ready) + delay;
            let is_last = chunk.then != Then::GoOn;
            if line.send(chunk).is_err() || is_last {
                return;
            }
        }
    }

    /// Hands on what arrives.
    fn give(&self, number: u64, mut to: &TcpStream, line: &Receiver<Chunk>) {
        for Chunk { bytes, arrival, then } in line {
            thread::sleep(arrival.saturating_duration_since(Instant::now()));
            let then = if to.write_all(&bytes).is_ok() { then } else { Then::CutThis };
            if then != Then::GoOn {
                self.state().open.retain(|it, ends| (then == Then::CutThis && *it != number) || cut(ends));
                return;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}

impl State {
    /// Counts what comes, and says when the line has taken it; nothing where the connection was cut meanwhile.
    fn pass(&mut self, number: u64, way: Way, bytes: &[u8]) -> Option<(Instant, Chunk)> {
        self.open.get(&number)?;
        let faults = self.faults;
        let mut chunk = Chunk { bytes: bytes.to_vec(), arrival: Instant::now(), then: Then::GoOn };
        if way == Way::ToServer {
            let before = self.passed.sent;
            let (end, then) = match faults.cut {
                Cut::AllEvery(bytes) => ((before / bytes + 1) * bytes, Then::CutAll),
                Cut::OneAfter(bytes) if before < bytes => (bytes, Then::CutThis),
                Cut::OneAfter(_) | Cut::Never => (u64::MAX, Then::GoOn),
            };
            if let Some(rest) = usize::try_from(end - before).ok().filter(|rest| *rest <= bytes.len()) {
                chunk.bytes.truncate(rest);
                chunk.then = then;
                self.passed.cuts += 1;
            }
            let at = faults.corrupt.and_then(|at| usize::try_from(at.checked_sub(before)?).ok());
            if let Some(byte) = at.and_then(|at| chunk.bytes.get_mut(at)) {
                *byte ^= 1;
            }
            self.passed.sent += chunk.bytes.len() as u64;
        } else {
            self.passed.received += chunk.bytes.len() as u64;
        }
        let free = &mut self.free[way as usize];
        let takes = faults.bytes_per_second.map(|speed| chunk.bytes.len() as f64 / speed as f64);
        *free = (*free).max(Instant::now()) + Duration::from_secs_f64(takes.unwrap_or(0.0));
        Some((*free, chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets, and the bytes that each connection brought, in order of their ends.
    fn echo() -> (SocketAddr, Receiver<Vec<u8>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (enter, leave) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, enter) = (stream.unwrap(), enter.clone());
                thread::spawn(move || {
                    let (mut all, mut buffer) = (Vec::new(), [0; 1000]);
                    while let Ok(amount @ 1..) = stream.read(&mut buffer) {
                        all.extend_from_slice(&buffer[..amount]);
                        // After a cut there may be more to read.
                        let _ = stream.write_all(&buffer[..amount]);
                    }
                    let _ = enter.send(all);
                });
            }
        });
        (address, leave)
    }

    fn connect(line: &Line) -> TcpStream {
        TcpStream::connect(line.host()).unwrap()
    }

    /// What comes back of these bytes, however the connection ends.
    fn sent_and_back(stream: &TcpStream, bytes: &[u8]) -> Vec<u8> {
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut stream = stream;
                let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
            });
            let (mut stream, mut back, mut buffer) = (stream, Vec::new(), [0; 1000]);
            while let Ok(amount @ 1..) = stream.read(&mut buffer) {
                back.extend_from_slice(&buffer[..amount]);
            }
            back
        })
    }

    const MANY: u64 = 300_000;

    fn many() -> Vec<u8> {
        (0..MANY).map(|number| (number % 251) as u8).collect()
    }

    #[test]
    fn a_line_without_faults_only_counts() {
        let (server, got) = echo();
        let line = Line::start(server, Faults::default()).unwrap();
        assert_eq!(sent_and_back(&connect(&line), &many()), many());
        assert_eq!(got.recv().unwrap(), many());
        assert_eq!(line.passed(), Passed { sent: MANY, received: MANY, connections: 1, cuts: 0 });
    }

    #[test]
    fn all_connections_are_cut_after_every_so_many_bytes_of_all() {
        let (server, got) = echo();
        let line = Line::start(server, Faults { cut: Cut::AllEvery(100_000), ..Faults::default() }).unwrap();
        let mut idle = connect(&line);
        idle.write_all(b"idle").unwrap();
        idle.read_exact(&mut [0; 4]).unwrap();
        sent_and_back(&connect(&line), &many());
        let mut ends = [got.recv().unwrap(), got.recv().unwrap()];
        ends.sort();
        assert!(ends.contains(&b"idle".to_vec()), "the idle connection was not cut");
        assert!(ends.contains(&many()[..99_996].to_vec()), "the server did not get all that came before the cut");
        assert!(!matches!(idle.read(&mut [0; 1]), Ok(1..)));

        sent_and_back(&connect(&line), &many());
        assert_eq!(got.recv().unwrap(), many()[..100_000]);
        assert_eq!((line.passed().sent, line.passed().cuts), (200_000, 2));
    }

    #[test]
    fn one_connection_is_cut_once() {
        let (server, got) = echo();
        let line = Line::start(server, Faults { cut: Cut::OneAfter(50_000), ..Faults::default() }).unwrap();
        let mut idle = connect(&line);
        idle.write_all(b"idle").unwrap();
        idle.read_exact(&mut [0; 4]).unwrap();
        sent_and_back(&connect(&line), &many());
        assert_eq!(got.recv().unwrap().len(), 49_996);
        assert_eq!(sent_and_back(&idle, &many()), many());
        assert_eq!(sent_and_back(&connect(&line), &many()), many());
        assert_eq!((line.passed().cuts, line.passed().connections), (1, 3));
    }

    #[test]
    fn a_mended_line_cuts_no_more() {
        let (server, _) = echo();
        let line = Line::start(server, Faults { cut: Cut::AllEvery(1000), ..Faults::default() }).unwrap();
        assert!(sent_and_back(&connect(&line), &many()).len() <= 1000);
        line.mend();
        assert_eq!(sent_and_back(&connect(&line), &many()), many());
        assert_eq!(line.passed().cuts, 1);
    }

    #[test]
    fn one_bit_of_one_byte_is_flipped() {
        let (server, _) = echo();
        let line = Line::start(server, Faults { corrupt: Some(123_456), ..Faults::default() }).unwrap();
        let mut expected = many();
        expected[123_456] ^= 1;
        assert_eq!(sent_and_back(&connect(&line), &many()), expected);
        assert_eq!(sent_and_back(&connect(&line), &many()), many());
    }

    #[test]
    fn a_delay_and_a_speed_are_lower_bounds() {
        let (server, _) = echo();
        let round_trip = Duration::from_millis(40);
        let line = Line::start(server, Faults { round_trip, ..Faults::default() }).unwrap();
        let begin = Instant::now();
        assert_eq!(sent_and_back(&connect(&line), b"x"), b"x");
        assert!(begin.elapsed() >= 2 * round_trip, "the handshake and the byte took {:?}", begin.elapsed());

        let line = Line::start(server, Faults { bytes_per_second: Some(2 * MANY), ..Faults::default() }).unwrap();
        let begin = Instant::now();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| assert_eq!(sent_and_back(&connect(&line), &many()), many()));
            }
        });
        assert!(begin.elapsed() >= Duration::from_secs(1), "both connections together took {:?}", begin.elapsed());
    }

    #[test]
    fn clients_of_a_server_that_is_gone_and_of_a_closed_line_are_told() {
        let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let line = Line::start(nobody, Faults::default()).unwrap();
        assert_eq!(sent_and_back(&connect(&line), b"x"), b"");

        let (server, got) = echo();
        let line = Line::start(server, Faults::default()).unwrap();
        let mut open = connect(&line);
        open.write_all(b"x").unwrap();
        open.read_exact(&mut [0; 1]).unwrap();
        drop(line);
        assert!(!matches!(open.read(&mut [0; 1]), Ok(1..)));
        assert_eq!(got.recv().unwrap(), b"x");
    }
}
