//! What people read of a contract: for each function what it touches and whom that sets at odds.

use std::io;

use warpline_analysis::bytecode::{
    Call, CallInput, Entry, Function, Names, Opener, Proxy, Relation, Segment,
};

use super::Subject;
use crate::table::{FAINT, GOOD, Printer, STRONG, Styled, counted};

/// More segments are summed up.
const MAX_SEGMENTS: usize = 12;
/// More functions in a row are counted.
const MAX_NAMES: usize = 6;

/// Prints everything.
pub(super) fn print(printer: &Printer, subject: &Subject) -> io::Result<()> {
    let contract = &subject.contract;
    let selectors = contract.functions.iter().filter(|it| matches!(it.entry, Entry::Selector(_)));
    let known = contract.functions.iter().filter(|function| function.is_known()).count();
    printer.line(format_args!(
        "{}: {}, {}; the storage of {known} of {} ways in is fully known",
        Styled(STRONG, &subject.source),
        counted(contract.code_size, "byte"),
        counted(selectors.count(), "function"),
        contract.functions.len(),
    ))?;
    if let Some(proxy) = &contract.proxy {
        printer.line(format_args!("a proxy: {}", describe_proxy(proxy)))?;
    }
    for function in &contract.functions {
        if matches!(function.entry, Entry::Selector(_)) || does_anything(function) {
            print_function(printer, subject, function)?;
        }
    }
    Ok(())
}

/// Whether a fallback is more than a refusal.
fn does_anything(function: &Function) -> bool {
    !function.accesses.is_empty()
        || !function.calls.is_empty()
        || function.creates
        || function.self_destructs
        || function.incomplete.is_some()
}

/// Whose code a proxy runs, in words.
pub(super) fn describe_proxy(proxy: &Proxy) -> String {
    match proxy {
        Proxy::Fixed { target } => format!("it runs the code of {target} (as EIP-1167)"),
        Proxy::Slot { slot, convention } => {
            format!("it runs the code of the address in slot {slot:#x} ({})", convention.name())
        }
        Proxy::Beacon { slot } => {
            format!("it runs the code that the beacon in slot {slot:#x} names (EIP-1967)")
        }
        Proxy::Diamond { facet } => {
            format!("it runs the code that its storage has for each selector (EIP-2535): {facet}")
        }
        Proxy::Other { target } => format!("it runs the code of {target}"),
        _ => "it runs the code of another contract".to_owned(),
    }
}

fn print_function(printer: &Printer, subject: &Subject, function: &Function) -> io::Result<()> {
    let (contract, names) = (&subject.contract, &subject.names);
    let selector = match function.entry {
        Entry::Selector(selector) => alloy_primitives::hex::encode_prefixed(selector),
        _ => String::new(),
    };
    printer.line("")?;
    printer.line(format_args!(
        "{}  {}",
        Styled(STRONG, names.heading(function)),
        Styled(FAINT, if names.heading(function).starts_with(&selector) { "" } else { &selector }),
    ))?;
    for note in unknowns(function) {
        printer.line(format_args!("  not known: {note}"))?;
    }
    let touches = contract.touches(function);
    for touch in &touches {
        let rarely = if touch.always { "" } else { "on some paths " };
        printer.line(format_args!("  {rarely}{}", names.touch(function, touch)))?;
    }
    if let Some(line) = constants(subject, function) {
        printer.line(format_args!("  {}", Styled(FAINT, line)))?;
    }
    for call in &function.calls {
        printer.line(format_args!("  {}", describe_call(names, function, call)))?;
    }
    if function.creates {
        printer.line("  creates contracts")?;
    }
    if function.self_destructs {
        printer.line("  may destroy the contract")?;
    }
    print_relations(printer, subject, function)?;
    print_segments(printer, names, function)
}

/// What is not known of a function, in words.
pub(super) fn unknowns(function: &Function) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(incomplete) = function.incomplete {
        notes.push(format!("all it may do, as {}", incomplete.describe()));
        return notes;
    }
    if function.has_unknown_writes() {
        notes.push("every slot it writes".to_owned());
    }
    if function.has_unknown_reads() {
        notes.push("every slot it reads".to_owned());
    }
    if function.delegates() {
        notes.push("what the code does that it runs on its own storage".to_owned());
    }
    notes
}

/// The slots that are read and that no function writes.
fn constants(subject: &Subject, function: &Function) -> Option<String> {
    let slots = subject.contract.constants(function);
    let names: Vec<_> = slots.iter().map(|slot| subject.names.slot(function, slot)).collect();
    (!names.is_empty()).then(|| format!("reads {}: written by no function", listed(&names)))
}

fn listed(names: &[String]) -> String {
    let shown = names.len().min(MAX_NAMES);
    let rest = names.len() - shown;
    let text = names[..shown].join(", ");
    if rest == 0 { text } else { format!("{text} and {rest} more") }
}

fn describe_call(names: &Names, function: &Function, call: &Call) -> String {
    let target = names.template(function, &call.target);
    let selector = |selector: &Option<[u8; 4]>| {
        selector.map_or_else(|| "?".to_owned(), |it| names.entry(Entry::Selector(it)))
    };
    let input = match &call.input {
        CallInput::Forwarded => "with its own call data".to_owned(),
        CallInput::Unknown { selector: it } => format!("{}, with ?", selector(it)),
        CallInput::Words { length: 0, .. } => "without data".to_owned(),
        CallInput::Words { selector: it, words, .. } => {
            let words: Vec<_> = words.iter().map(|word| names.template(function, word)).collect();
            format!(
                "{}, with {}",
                selector(it),
                if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
            )
        }
    };
    let rarely = if call.always { "" } else { "on some paths " };
    let pays = match call.value.as_constant() {
        Some(value) if value.is_zero() => String::new(),
        _ => format!(", paying {}", names.template(function, &call.value)),
    };
    format!("{rarely}{}s {target}: {input}{pays}", call.kind.name())
}

fn print_relations(printer: &Printer, subject: &Subject, function: &Function) -> io::Result<()> {
    for (relation, text) in [
        (Relation::Always, "conflicts with"),
        (Relation::Depends, "may conflict, where keys are the same, with"),
        (Relation::Unknown, "may conflict, nobody knows when, with"),
    ] {
        let others = subject.contract.functions.iter().filter(|other| {
            is_named(other) && subject.contract.relation(function, other) == relation
        });
        let others: Vec<_> = others.map(|other| subject.names.entry(other.entry)).collect();
        if !others.is_empty() {
            printer.line(format_args!("  {text} {}", listed(&others)))?;
        }
    }
    if subject
        .contract
        .functions
        .iter()
        .all(|other| subject.contract.relation(function, other) == Relation::Never)
    {
        printer.line(format_args!("  {}", Styled(GOOD, "never conflicts")))?;
    }
    Ok(())
}

fn is_named(function: &Function) -> bool {
    matches!(function.entry, Entry::Selector(_)) || does_anything(function)
}

fn print_segments(printer: &Printer, names: &Names, function: &Function) -> io::Result<()> {
    let (met, own): (Vec<_>, Vec<_>) =
        function.segments.iter().partition(|segment| matches!(segment.opener, Opener::Meeting(_)));
    if own.len() < 2 {
        return Ok(());
    }
    printer.line(format_args!("  {} segments", function.segments.len()))?;
    for segment in own.iter().take(MAX_SEGMENTS) {
        let opener = describe_opener(names, function, segment);
        printer.line(Styled(FAINT, format!("    {:>6} gas  {opener}", segment.gas)))?;
    }
    let rest: Vec<_> = own.iter().skip(MAX_SEGMENTS).chain(&met).collect();
    if !rest.is_empty() {
        let gas: u64 = rest.iter().map(|segment| segment.gas).sum();
        let text = format!("    {gas:>6} gas  in {} more, where paths meet or later", rest.len());
        printer.line(Styled(FAINT, text))?;
    }
    Ok(())
}

/// Where a segment begins, in words.
pub(super) fn describe_opener(names: &Names, function: &Function, segment: &Segment) -> String {
    match segment.opener {
        Opener::Entry => "from the beginning".to_owned(),
        Opener::Access(pc) => {
            let access = function.accesses.iter().find(|access| access.pc == pc);
            let what = access
                .map_or("the access", |it| if it.is_write() { "the write" } else { "the read" });
            let slot = access.map(|access| names.slot(function, &access.slot)).unwrap_or_default();
            format!("from {what} of {slot} at {pc:#x}")
        }
        Opener::Call(pc) => format!("from the call at {pc:#x}"),
        Opener::Meeting(pc) => format!("from where paths meet at {pc:#x}"),
        _ => String::new(),
    }
}
