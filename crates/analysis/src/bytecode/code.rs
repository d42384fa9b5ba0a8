//! Code divided into basic blocks.
//!
//! A basic block begins at the first byte, at each `JUMPDEST` and after each conditional jump, and ends
//! where the next begins or nothing further runs. The division is linear in the code, and every byte
//! that can be executed belongs to exactly one block.

use super::opcode;

/// A stretch of code that runs from its first instruction to its last, or halts within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The offset of its first instruction.
    pub start: u32,
    /// The offset behind its last instruction, immediate bytes included.
    pub end: u32,
    /// What its instructions cost at least, see [`Segment::gas`](super::Segment::gas).
    pub gas: u64,
}

/// Code with what executing it needs.
#[derive(Clone, Debug)]
pub(crate) struct Code<'a> {
    pub(crate) bytes: &'a [u8],
    blocks: Vec<Block>,
    /// Bit `i` says whether a jump to offset `i` is allowed.
    jump_destinations: Vec<u64>,
}

impl<'a> Code<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        // Code on chain has at most 24 KiB, and offsets of longer input need not be right.
        let bytes = &bytes[..bytes.len().min(super::MAX_CODE)];
        let mut jump_destinations = vec![0; bytes.len() / 64 + 1];
        let (mut blocks, mut start, mut gas) = (Vec::new(), 0, 0);
        for (at, opcode) in instructions(bytes, 0) {
            if opcode == opcode::JUMPDEST {
                jump_destinations[at / 64] |= 1 << (at % 64);
                push_block(&mut blocks, start, at, gas);
                (start, gas) = (at, 0);
            }
            gas += opcode::effect(opcode).map_or(0, |effect| effect.gas);
            if opcode::ends_block(opcode) {
                let end = at + 1 + opcode::immediate(opcode);
                push_block(&mut blocks, start, end, gas);
                (start, gas) = (end, 0);
            }
        }
        push_block(&mut blocks, start, bytes.len(), gas);
        Self { bytes, blocks, jump_destinations }
    }

    /// Whether a jump to `offset` is allowed.
    pub(crate) fn is_jump_destination(&self, offset: usize) -> bool {
        let word = self.jump_destinations.get(offset / 64);
        word.is_some_and(|word| word & (1 << (offset % 64)) != 0)
    }

    /// The blocks in the order of the code.
    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The byte at `offset`, or zero behind the end: executed it is `STOP`.
    pub(crate) fn byte(&self, offset: usize) -> u8 {
        self.bytes.get(offset).copied().unwrap_or(0)
    }
}

/// The offsets and opcodes of the instructions of `bytes`, from offset `from` on.
pub(crate) fn instructions(bytes: &[u8], from: usize) -> impl Iterator<Item = (usize, u8)> + '_ {
    let mut next = from;
    std::iter::from_fn(move || {
        let at = next;
        let opcode = *bytes.get(at)?;
        next = at + 1 + opcode::immediate(opcode);
        Some((at, opcode))
    })
}

fn push_block(blocks: &mut Vec<Block>, start: usize, end: usize, gas: u64) {
    if start < end {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        blocks.push(Block { start: offset(start), end: offset(end), gas });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_begin_at_destinations_and_after_jumps() {
        // PUSH1 5; JUMPI; STOP; JUMPDEST; PUSH2 with a 5b inside; JUMPDEST
        let code = Code::new(&[0x60, 5, 0x57, 0, 0x5b, 0x61, 0x5b, 0x5b, 0x5b]);
        let ranges: Vec<_> = code.blocks().iter().map(|block| (block.start, block.end)).collect();
        assert_eq!(ranges, [(0, 3), (3, 4), (4, 8), (8, 9)]);
        assert!(code.is_jump_destination(4) && code.is_jump_destination(8));
        assert!(!code.is_jump_destination(6) && !code.is_jump_destination(1 << 40));
        assert_eq!(code.blocks()[0].gas, 13);
    }

    #[test]
    fn a_push_cut_short_ends_with_the_code() {
        let code = Code::new(&[0x7f, 1]);
        assert_eq!(code.blocks().len(), 1);
        assert_eq!(code.blocks()[0].end, 2);
    }
}
