#!/usr/bin/env python3
"""Pick named types, and what they need, out of `bpftool btf dump ... format c` on standard input.

Works on the text: bpftool has already settled layout, packing and order, so a definition can be copied as it
stands. Definitions come out in bpftool's order, in which a type precedes its users.
"""
import argparse
import re
import sys


def definitions(text):
    """Yield (name, constants, body) of each top-level definition; name is 'struct x', 'x' (typedef) or None."""
    head = re.compile(r"(?:struct|union|enum) \w+ \{|enum \{|typedef ")
    block = []
    for line in text.splitlines():
        if block or head.match(line):
            block.append(line)
        if block and line.rstrip().endswith(";") and not line.startswith("\t"):
            body = "\n".join(block)
            block = []
            named = re.match(r"((?:struct|union|enum) \w+) \{", body)
            if named:
                name = named.group(1)
            elif body.startswith("typedef"):
                plain = re.search(r"(\w+)(?:\[\d*\])*;$", body)
                name = plain.group(1) if plain else body  # a function type: nothing here needs one
            else:
                name = None
            constants = re.findall(r"^\t(\w+)(?: = .*)?,$", body, re.M) if "enum" in body.split("{")[0] else []
            yield name, constants, body


def needs(body, by_name):
    """(types used by value, types used only through a pointer) of one definition."""
    value, pointer = set(), set()
    fields = body.split("{", 1)[1] if "{" in body else body.removeprefix("typedef")
    for line in fields.splitlines():
        tagged = re.match(r"\s*(?:const )?((?:struct|union|enum) \w+)( \*)?", line)
        if tagged:
            (pointer if tagged.group(2) else value).add(tagged.group(1))
            continue
        plain = re.match(r"\s*(?:const )?(\w+) ", line)
        if plain and plain.group(1) in by_name:
            value.add(plain.group(1))
    return value, pointer


def trim(body, fields):
    """The struct with only the lines that declare one of `fields` at its top level."""
    kept = []
    for field in fields:
        line = re.search(rf"^\t[^\t].*\b{field}(?:: \d+)?;$", body, re.M)
        if not line:
            sys.exit(f"btf-pick: {body.split(' {')[0]} has no field {field}")
        kept.append((line.start(), line.group(0)))
    return "\n".join([body.split("\n", 1)[0], *(text for _, text in sorted(kept)), "};"])


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--type", action="append", default=[])
    ap.add_argument("--enum-with", action="append", default=[])
    ap.add_argument("--partial", action="append", default=[], help="TYPE:field,field")
    args = ap.parse_args()

    defs = list(definitions(sys.stdin.read()))
    by_name = {}
    for name, _, body in defs:
        by_name.setdefault(name, body)

    partial = {}
    for spec in args.partial:
        name, fields = spec.split(":")
        if name not in by_name:
            sys.exit(f"btf-pick: no {name} in this kernel")
        partial[name] = trim(by_name[name], fields.split(","))

    wanted, pointed, todo = set(), set(), list(args.type)
    for body in partial.values():
        todo += needs(body, by_name)[0]
    while todo:
        name = todo.pop()
        if name in wanted or name in partial:
            continue
        if name not in by_name:
            sys.exit(f"btf-pick: no {name} in this kernel")
        wanted.add(name)
        value, pointer = needs(by_name[name], by_name)
        todo += value
        pointed |= pointer

    missing = [e for e in args.enum_with if not any(e in c for n, c, _ in defs if n is None)]
    if missing:
        sys.exit(f"btf-pick: no unnamed enum with {', '.join(missing)} in this kernel")

    print("/* Kernel types used by bpf/, and no others. Made by tools/gen-vmlinux.sh: do not edit. */")
    print("#ifndef __VMLINUX_H__\n#define __VMLINUX_H__\n")
    for name in sorted(pointed - wanted - set(partial)):
        print(f"{name};")
    print()
    done = set()
    for name, constants, body in defs:
        if name is None:
            if any(e in constants for e in args.enum_with):
                print(body + "\n")
        elif name in wanted and name not in done:
            done.add(name)
            print(body + "\n")

    print("/* Kernel-internal types, in part. CO-RE finds the fields' real places when the programs are loaded. */")
    print("#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)\n")
    for name in (n for n, _, _ in defs if n in partial):
        if name not in done:
            done.add(name)
            print(partial[name] + "\n")
    print("#pragma clang attribute pop\n")
    print("#endif")


main()
