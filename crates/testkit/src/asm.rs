//! Bytecode, written down as a chain of calls.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

/// Opcodes.
#[expect(missing_docs, reason = "their names are their documentation")]
pub mod op {
    pub const STOP: u8 = 0x00;
    pub const ADD: u8 = 0x01;
    pub const MUL: u8 = 0x02;
    pub const SUB: u8 = 0x03;
    pub const MOD: u8 = 0x06;
    pub const LT: u8 = 0x10;
    pub const GT: u8 = 0x11;
    pub const EQ: u8 = 0x14;
    pub const ISZERO: u8 = 0x15;
    pub const AND: u8 = 0x16;
    pub const XOR: u8 = 0x18;
    pub const KECCAK256: u8 = 0x20;
    pub const ADDRESS: u8 = 0x30;
    pub const BALANCE: u8 = 0x31;
    pub const ORIGIN: u8 = 0x32;
    pub const CALLER: u8 = 0x33;
    pub const CALLVALUE: u8 = 0x34;
    pub const CALLDATALOAD: u8 = 0x35;
    pub const CALLDATASIZE: u8 = 0x36;
    pub const CALLDATACOPY: u8 = 0x37;
    pub const CODECOPY: u8 = 0x39;
    pub const EXTCODESIZE: u8 = 0x3b;
    pub const EXTCODECOPY: u8 = 0x3c;
    pub const RETURNDATASIZE: u8 = 0x3d;
    pub const EXTCODEHASH: u8 = 0x3f;
    pub const BLOCKHASH: u8 = 0x40;
    pub const COINBASE: u8 = 0x41;
    pub const NUMBER: u8 = 0x43;
    pub const SELFBALANCE: u8 = 0x47;
    pub const POP: u8 = 0x50;
    pub const MLOAD: u8 = 0x51;
    pub const MSTORE: u8 = 0x52;
    pub const SLOAD: u8 = 0x54;
    pub const SSTORE: u8 = 0x55;
    pub const JUMP: u8 = 0x56;
    pub const JUMPI: u8 = 0x57;
    pub const GAS: u8 = 0x5a;
    pub const JUMPDEST: u8 = 0x5b;
    pub const TLOAD: u8 = 0x5c;
    pub const TSTORE: u8 = 0x5d;
    pub const DUP1: u8 = 0x80;
    pub const DUP2: u8 = 0x81;
    pub const SWAP1: u8 = 0x90;
    pub const LOG0: u8 = 0xa0;
    pub const LOG1: u8 = 0xa1;
    pub const CREATE: u8 = 0xf0;
    pub const CALL: u8 = 0xf1;
    pub const CALLCODE: u8 = 0xf2;
    pub const RETURN: u8 = 0xf3;
    pub const DELEGATECALL: u8 = 0xf4;
    pub const CREATE2: u8 = 0xf5;
    pub const STATICCALL: u8 = 0xfa;
    pub const REVERT: u8 = 0xfd;
    pub const INVALID: u8 = 0xfe;
    pub const SELFDESTRUCT: u8 = 0xff;
    pub(super) const PUSH1: u8 = 0x60;
    pub(super) const PUSH2: u8 = 0x61;
}

/// Bytecode in the making. Methods append; those named after an operation push its operands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asm(Vec<u8>);

impl Asm {
    /// No code yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An opcode.
    #[must_use]
    pub fn op(mut self, opcode: u8) -> Self {
        self.0.push(opcode);
        self
    }

    /// Opcodes in a row.
    #[must_use]
    pub fn ops(mut self, opcodes: &[u8]) -> Self {
        self.0.extend_from_slice(opcodes);
        self
    }

    /// Other code, which must not jump.
    #[must_use]
    pub fn then(mut self, other: &Self) -> Self {
        self.0.extend_from_slice(&other.0);
        self
    }

    /// Pushes a number in as few bytes as it takes, at least one.
    #[must_use]
    pub fn push(self, value: impl TryInto<U256>) -> Self {
        let Ok(value) = value.try_into() else { panic!("a pushed number is not negative") };
        let bytes: [u8; 32] = value.to_be_bytes();
        let from = (value.leading_zeros() / 8).min(31);
        self.push_bytes(&bytes[from..])
    }

    /// Pushes an address.
    #[must_use]
    pub fn push_address(self, address: Address) -> Self {
        self.push_bytes(address.as_slice())
    }

    /// Pushes 1 to 32 bytes as they are.
    #[must_use]
    pub fn push_bytes(mut self, bytes: &[u8]) -> Self {
        assert!((1..=32).contains(&bytes.len()), "a push takes 1 to 32 bytes");
        #[expect(clippy::cast_possible_truncation, reason = "at most 31")]
        self.0.push(op::PUSH1 + (bytes.len() - 1) as u8);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Pushes the value of a storage slot.
    #[must_use]
    pub fn sload(self, slot: u64) -> Self {
        self.push(slot).op(op::SLOAD)
    }

    /// Stores what is on top of the stack.
    #[must_use]
    pub fn store_top(self, slot: u64) -> Self {
        self.push(slot).op(op::SSTORE)
    }

    /// Stores a constant.
    #[must_use]
    pub fn sstore(self, slot: u64, value: u64) -> Self {
        self.push(value).store_top(slot)
    }

    /// Adds what is on top of the stack to a storage slot.
    #[must_use]
    pub fn add_to_slot(self, slot: u64) -> Self {
        self.sload(slot).op(op::ADD).store_top(slot)
    }

    /// Pushes the 32-byte word of the call data at `index`.
    #[must_use]
    pub fn arg(self, index: u64) -> Self {
        self.push(32 * index).op(op::CALLDATALOAD)
    }

    /// Pushes the balance of `address`.
    #[must_use]
    pub fn balance(self, address: Address) -> Self {
        self.push_address(address).op(op::BALANCE)
    }

    /// Calls `to` with all gas but 40,000, `value` wei and no data, and leaves the success flag.
    #[must_use]
    pub fn call(self, to: Address, value: u64) -> Self {
        self.ops(&[op::PUSH1, 0, op::PUSH1, 0, op::PUSH1, 0, op::PUSH1, 0])
            .push(value)
            .push_address(to)
            .most_gas()
            .op(op::CALL)
    }

    /// Like [`call`](Self::call), passing on the first `size` bytes of memory and `gas`.
    #[must_use]
    pub fn call_with(self, to: Address, value: u64, size: u64, gas: u64) -> Self {
        self.ops(&[op::PUSH1, 0, op::PUSH1, 0])
            .push(size)
            .push(0)
            .push(value)
            .push_address(to)
            .push(gas)
            .op(op::CALL)
    }

    /// Delegate-calls `to` with all gas but 40,000 and no data, and leaves the success flag.
    #[must_use]
    pub fn delegate_call(self, to: Address) -> Self {
        self.ops(&[op::PUSH1, 0, op::PUSH1, 0, op::PUSH1, 0, op::PUSH1, 0])
            .push_address(to)
            .most_gas()
            .op(op::DELEGATECALL)
    }

    /// Writes `bytes` to memory from 0 on, in words.
    #[must_use]
    pub fn memory(mut self, bytes: &[u8]) -> Self {
        for (at, chunk) in (0u64..).step_by(32).zip(bytes.chunks(32)) {
            let mut word = [0; 32];
            word[..chunk.len()].copy_from_slice(chunk);
            self = self.push_bytes(&word).push(at).op(op::MSTORE);
        }
        self
    }

    /// Creates a contract from `init` with `value` wei and leaves its address, or zero.
    #[must_use]
    pub fn create(self, init: &[u8], value: u64) -> Self {
        self.memory(init).push(init.len() as u64).push(0).push(value).op(op::CREATE)
    }

    /// Creates a contract from `init` with `value` wei at the address that `salt` gives, and
    /// leaves that address, or zero.
    #[must_use]
    pub fn create2(self, init: &[u8], value: u64, salt: u64) -> Self {
        self.memory(init).push(salt).push(init.len() as u64).push(0).push(value).op(op::CREATE2)
    }

    /// Destroys the contract in favour of `heir`.
    #[must_use]
    pub fn self_destruct(self, heir: Address) -> Self {
        self.push_address(heir).op(op::SELFDESTRUCT)
    }

    /// Burns gas: runs round in a loop as often as the number on top of the stack says.
    #[must_use]
    pub fn spin_top(self) -> Self {
        // With n on the stack: `while n != 0 { n -= 1 }`, then drop n.
        let head = self.0.len() as u64;
        self.op(op::JUMPDEST)
            .ops(&[op::DUP1, op::ISZERO])
            .jump_to(head + 15)
            .op(op::JUMPI)
            .push(1)
            .ops(&[op::SWAP1, op::SUB])
            .jump_to(head)
            .ops(&[op::JUMP, op::JUMPDEST, op::POP])
    }

    /// Runs `then` if the top of the stack is not zero. `then` must leave the stack as it is.
    #[must_use]
    pub fn if_top(self, then: impl FnOnce(Self) -> Self) -> Self {
        let mut asm = self.op(op::ISZERO);
        let hole = asm.0.len() + 1;
        asm = then(asm.jump_to(0).op(op::JUMPI));
        let end = asm.0.len();
        asm.0[hole..hole + 2].copy_from_slice(&two_bytes(end as u64));
        asm.op(op::JUMPDEST)
    }

    /// Returns the word on top of the stack.
    #[must_use]
    pub fn return_top(self) -> Self {
        self.push(0).op(op::MSTORE).push(32).push(0).op(op::RETURN)
    }

    /// Reverts without data.
    #[must_use]
    pub fn revert(self) -> Self {
        self.push(0).push(0).op(op::REVERT)
    }

    /// The bytecode.
    pub fn build(self) -> Bytes {
        self.0.into()
    }

    /// Before EIP-150, asking for more than there is after the call is paid fails.
    fn most_gas(self) -> Self {
        self.push(40_000).ops(&[op::GAS, op::SUB])
    }

    fn jump_to(mut self, destination: u64) -> Self {
        self.0.push(op::PUSH2);
        self.0.extend(two_bytes(destination));
        self
    }
}

impl From<Asm> for Bytes {
    fn from(asm: Asm) -> Self {
        asm.build()
    }
}

fn two_bytes(destination: u64) -> [u8; 2] {
    let destination = u16::try_from(destination).expect("code is short");
    destination.to_be_bytes()
}

/// Init code that deploys `runtime`.
pub fn deployer(runtime: impl Into<Bytes>) -> Bytes {
    let runtime = runtime.into();
    let length = u16::try_from(runtime.len()).expect("code is short").to_be_bytes();
    let copy = |from: u8| {
        Asm::new()
            .push_bytes(&length)
            .op(op::DUP1)
            .push_bytes(&[from])
            .push(0)
            .op(op::CODECOPY)
            .push(0)
            .op(op::RETURN)
            .build()
    };
    let header = u8::try_from(copy(0).len()).expect("a few bytes");
    [copy(header), runtime].concat().into()
}

/// Where [`Asm::create2`] puts the contract of `init` with `salt` when `creator` runs it.
pub fn create2_address(creator: Address, salt: u64, init: &[u8]) -> Address {
    creator.create2(B256::from(U256::from(salt)), keccak256(init))
}
