//! Blocks from a node: fetched ahead on threads of their own, kept on the disk, handed out in order.
//!
//! What is asked and what comes of the answers is `warpline_replay`'s business. Here are the network, the disk and
//! the clock.

pub(crate) mod args;
mod cache;
#[cfg(feature = "rpc")]
pub(crate) mod http;
pub(crate) mod range;
pub(crate) mod sink;
#[cfg(feature = "tls")]
mod tls;

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use alloy_primitives::B256;
use anyhow::{Context as _, bail};
use warpline_chain::{ChainSpec, Genesis};
use warpline_replay::{
    BlockHead, BlockInput, Capture, CapturedState, FetchError, JsonRpc, Origin, RemoteNode,
    StateFrom, chain_id_of,
};
use warpline_trie::StateTrie;

use self::{
    args::NodeArgs,
    cache::{Cache, Cached},
    range::BlockRange,
};

/// How often a block is asked for that the node gives contradictory answers about.
const CONTRADICTIONS: u32 = 4;
/// How long a node gets to make up its mind.
const RECONSIDER: Duration = Duration::from_millis(200);

/// A block that was fetched, or was in the cache.
pub(crate) struct Fetched {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    pub(crate) input: BlockInput,
    /// As a capture.
    pub(crate) bytes: Vec<u8>,
    /// Whether the state came as a witness.
    pub(crate) is_witness: bool,
    /// Whether the node was asked for more than its header.
    pub(crate) is_new: bool,
    /// Where it is in the cache.
    kept: Option<PathBuf>,
    /// Why it could not be kept.
    pub(crate) unkept: Option<anyhow::Error>,
    /// Something that whoever asked should know.
    pub(crate) note: Option<String>,
}

impl Fetched {
    /// Drops it from the cache, because it is not what it must be, and returns what to say about that.
    pub(crate) fn forget(&self) -> Option<String> {
        self.kept.as_deref().map(cache::forget)
    }
}

/// Why there is no block.
#[derive(Debug)]
pub(crate) struct NotFetched {
    pub(crate) number: u64,
    pub(crate) error: anyhow::Error,
    /// Whether it makes no sense to go on with the next.
    pub(crate) is_final: bool,
}

/// Blocks of a node, in order.
pub(crate) struct Fetching {
    numbers: RangeInclusive<u64>,
    /// One for each thread; they take turns.
    lanes: Vec<Receiver<Result<Fetched, NotFetched>>>,
    stop: Arc<AtomicBool>,
    /// Why there is no cache, though one is wanted.
    uncached: Option<anyhow::Error>,
}

/// Begins to fetch the blocks in `range` from the node at `url`.
///
/// # Errors
/// When the node cannot be asked, is of a chain whose rules are not known, or the range has no block.
#[cfg(feature = "rpc")]
pub(crate) fn fetch(url: &str, range: &BlockRange, args: &NodeArgs) -> anyhow::Result<Fetching> {
    let http = http::Http::open(url, args.limits())?;
    let shown = http.shown().to_owned();
    Fetching::begin(http, shown, range, args)
}

#[cfg(not(feature = "rpc"))]
pub(crate) fn fetch(_: &str, _: &BlockRange, _: &NodeArgs) -> anyhow::Result<Fetching> {
    bail!("this program was built without the feature `rpc`")
}

impl Fetching {
    fn begin<R: JsonRpc + Send + Sync + 'static>(
        rpc: R,
        shown: String,
        range: &BlockRange,
        args: &NodeArgs,
    ) -> anyhow::Result<Self> {
        let id = chain_id_of(&rpc)?;
        let (chain, genesis_hash) = chain(id, args)?;
        let (cache, uncached) = match Cache::open(args, id) {
            Ok(cache) => (cache, None),
            Err(error) => (Cache::none(), Some(error)),
        };
        let state_from = args.state_from();
        let node = RemoteNode::new(rpc, chain, state_from);
        if let (Some(expected), Some(path)) = (genesis_hash, args.genesis()) {
            check_genesis(&node, expected, path)?;
        }
        let newest = node.latest().context("cannot ask for the newest block")?;
        let numbers = range.resolve(newest)?;
        let stop = Arc::new(AtomicBool::new(false));
        let source = Arc::new(Source { node, cache, state_from, shown });
        let count = numbers.end() - numbers.start();
        let threads = u64::from(args.ahead()).min(count.saturating_add(1));
        let mut lanes = Vec::new();
        for lane in 0..threads {
            // One block waits in the channel while the next is fetched.
            let (sender, receiver) = sync_channel(1);
            let (source, stop) = (source.clone(), stop.clone());
            let mine =
                numbers.clone().skip(usize::try_from(lane)?).step_by(usize::try_from(threads)?);
            // Not joined: when nobody wants the blocks any more, nobody wants to wait for the node either.
            thread::Builder::new()
                .name(format!("fetch-{lane}"))
                .spawn(move || source.run(mine, &sender, &stop))
                .context("cannot start a thread")?;
            lanes.push(receiver);
        }
        Ok(Self { numbers, lanes, stop, uncached })
    }

    /// Takes the reason why nothing is kept, if something should be. Who wants the blocks themselves can go on.
    pub(crate) fn take_uncached(&mut self) -> Option<anyhow::Error> {
        self.uncached.take()
    }

    /// How many blocks there will be, if all goes well.
    pub(crate) fn total(&self) -> u64 {
        (self.numbers.end() - self.numbers.start()).saturating_add(1)
    }
}

impl Iterator for Fetching {
    type Item = Result<Fetched, NotFetched>;

    fn next(&mut self) -> Option<Self::Item> {
        let number = self.numbers.next()?;
        self.lanes.rotate_left(1);
        let lane = self.lanes.last()?;
        let next = lane.recv().unwrap_or_else(|_| {
            let error = anyhow::anyhow!("the thread that fetches blocks has ended");
            Err(NotFetched { number, error, is_final: true })
        });
        if next.as_ref().is_err_and(|error| error.is_final) {
            self.stop.store(true, Ordering::Relaxed);
            self.lanes.clear();
        }
        Some(next)
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What the threads share.
struct Source<R> {
    node: RemoteNode<R>,
    cache: Cache,
    state_from: StateFrom,
    /// The node as messages name it.
    shown: String,
}

impl<R: JsonRpc> Source<R> {
    fn run(
        &self,
        numbers: impl Iterator<Item = u64>,
        sender: &SyncSender<Result<Fetched, NotFetched>>,
        stop: &AtomicBool,
    ) {
        for number in numbers {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let fetched = self.fetch(number).map_err(|error| {
                let cause = error.downcast_ref::<FetchError>();
                let is_final = cause.is_some_and(|error| matches!(error, FetchError::Transport(_)));
                NotFetched { number, error, is_final }
            });
            let is_final = fetched.as_ref().is_err_and(|error| error.is_final);
            if sender.send(fetched).is_err() || is_final {
                return;
            }
        }
    }

    fn fetch(&self, number: u64) -> anyhow::Result<Fetched> {
        let mut left = CONTRADICTIONS;
        loop {
            left -= 1;
            match self.fetch_once(number) {
                Err(error) if left > 0 && is_passing(&error) => thread::sleep(RECONSIDER),
                result => return result,
            }
        }
    }

    fn fetch_once(&self, number: u64) -> anyhow::Result<Fetched> {
        let head = self.node.head(number)?;
        let (cached, note) = match self.cache.load(&head, &self.node.rules_for(&head)) {
            Cached::Sound(capture, bytes, path) => (Some((*capture, bytes, path)), None),
            Cached::Absent => (None, None),
            Cached::Damaged(reason) => (None, Some(reason)),
        };
        let proves = |capture: &Capture| matches!(capture.state, CapturedState::Witness(_));
        let keeps_witness = cached.as_ref().is_some_and(|(capture, ..)| proves(capture));
        let cached = cached.filter(|(capture, ..)| match self.state_from {
            StateFrom::Any => true,
            StateFrom::Witness => proves(capture),
            StateFrom::Traces => !proves(capture),
        });
        let is_new = cached.is_none();
        let (capture, bytes, mut kept) = match cached {
            Some((capture, bytes, path)) => (capture, bytes, Some(path)),
            None => {
                let capture = self.node.capture(&head)?;
                let bytes = capture.encode()?;
                (capture, bytes, None)
            }
        };
        let is_witness = proves(&capture);
        let input = self.input(&head, capture)?;
        // What proves more stays.
        let mut unkept = None;
        if is_new && (is_witness || !keeps_witness) {
            match self.cache.store(&head, &bytes) {
                Ok(path) => kept = path,
                Err(error) => unkept = Some(error),
            }
        }
        let hash = head.hash;
        Ok(Fetched { number, hash, input, bytes, is_witness, is_new, kept, unkept, note })
    }

    fn input(&self, head: &BlockHead, capture: Capture) -> anyhow::Result<BlockInput> {
        let origin = Origin::file(PathBuf::from(&self.shown));
        Ok(capture.into_input(origin.with_case(head.header.number.to_string()))?)
    }
}

fn is_passing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<FetchError>().is_some_and(FetchError::is_passing)
}

/// The rules of the chain with this id, and the hash of its block 0 if they come from a genesis file.
fn chain(id: u64, args: &NodeArgs) -> anyhow::Result<(Arc<ChainSpec>, Option<B256>)> {
    let Some(path) = args.genesis() else {
        let mainnet = ChainSpec::mainnet();
        if id == mainnet.chain_id() {
            return Ok((Arc::new(mainnet), None));
        }
        bail!(
            "the node is of chain {id}, whose rules this program does not know: give it the chain's genesis file \
             with --genesis"
        );
    };
    let read = || -> anyhow::Result<(Arc<ChainSpec>, B256)> {
        let genesis = Genesis::from_json(&std::fs::read(path)?)?;
        let mut trie = StateTrie::default();
        trie.apply(&genesis.changes())?;
        Ok((genesis.chain().clone(), genesis.header(trie.root()).hash_slow()))
    };
    let (chain, hash) = read().with_context(|| format!("genesis file {}", path.display()))?;
    let found = chain.chain_id();
    anyhow::ensure!(
        found == id,
        "{} is of chain {found}, and the node of chain {id}",
        path.display()
    );
    Ok((chain, Some(hash)))
}

/// Checks that the node's chain begins with the block of the genesis file: chain ids are chosen freely, and used more
/// than once. A node that does not give block 0, because it has deleted it or never had it, is believed.
fn check_genesis<R: JsonRpc>(
    node: &RemoteNode<R>,
    expected: B256,
    path: &Path,
) -> anyhow::Result<()> {
    let found = match node.head(0) {
        Ok(head) => head.hash,
        Err(FetchError::NoBlock { .. } | FetchError::Refused { .. }) => return Ok(()),
        Err(error) => return Err(error).context("cannot ask for block 0"),
    };
    anyhow::ensure!(
        found == expected,
        "{} makes another block 0 than the node has: {expected}, expected {found}; it is of another chain with the \
         same id, or has been changed",
        path.display()
    );
    Ok(())
}
