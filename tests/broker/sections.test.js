"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { SECTION, broker, encodeSection, encoded, randomNumbers, types } = require("./support");

const { SectionError, dataOf, decodeSection, plain, splitSections, typedMap } = broker("sections");

test("an encoded message is taken apart at its section boundaries", () => {
  const bytes = encoded("hello", {
    properties: { message_id: "m1" },
    applicationProperties: { colour: "red" },
  });
  const sections = splitSections(bytes);
  assert.deepEqual(
    sections.map((section) => section.code),
    [SECTION.HEADER, SECTION.PROPERTIES, SECTION.APPLICATION_PROPERTIES, SECTION.DATA],
  );
  assert.equal(sections.at(-1).end, bytes.length);
  for (let i = 1; i < sections.length; i += 1) {
    assert.equal(sections[i].start, sections[i - 1].end);
  }
  assert.equal(dataOf(bytes, sections.at(-1)).toString(), "hello");
});

test("a long section descriptor of eight bytes is read as a short one", () => {
  const bytes = Buffer.from("0080000000000000007" + "5a003616263", "hex");
  const [section] = splitSections(bytes);
  assert.equal(section.code, SECTION.DATA);
  assert.equal(dataOf(bytes, section).toString(), "abc");
});

test("every width of AMQP value is stepped over", () => {
  const values = [
    types.Null(),
    types.Ubyte(1),
    types.Ushort(2),
    types.Int(3),
    types.Long(4),
    types.Uuid(Buffer.alloc(16)),
    types.wrap_string("short"),
    types.wrap_string("x".repeat(300)),
    types.wrap_list([1, "two"]),
    types.List0(),
    types.wrap_map({ a: 1 }),
    types.wrap_array([1, 2], types.Int.typecode),
    types.described(types.wrap_symbol("a:described:value"), types.wrap_string("inner")),
  ];
  for (const value of values) {
    const bytes = encodeSection(SECTION.APPLICATION_PROPERTIES, value);
    const inList = Buffer.concat([
      bytes,
      encodeSection(SECTION.DATA, types.Vbin8(Buffer.from("x"))),
    ]);
    assert.deepEqual(
      splitSections(inList).map((section) => section.code),
      [SECTION.APPLICATION_PROPERTIES, SECTION.DATA],
    );
  }
});

test("a described value in a value section is stepped over with its descriptor", () => {
  const described = Buffer.from("005377" + "00a303616263" + "a1027879", "hex");
  const [section] = splitSections(described);
  assert.equal(section.end, described.length);
});

const WRONG = {
  "no bytes": "",
  "no descriptor": "a10161",
  "a descriptor alone": "005375",
  "a data section that is cut off": "005375a00561",
  "a length that is cut off": "005375b0000000",
  "a length beyond the message": "005375b0ffffffff61",
  "an unknown section": "00537940",
  "a section below the first": "00536f40",
  "sections out of order": "005375a00161005373450000",
  "a constructor of no type": "0053753061",
  "a symbolic descriptor": "00a3036162630040",
  "a huge descriptor": "0080ffffffffffffffff40",
  "descriptors without end": `005377${"00".repeat(5000)}`,
};

for (const [name, hex] of Object.entries(WRONG)) {
  test(`${name} is no message`, () => {
    assert.throws(() => splitSections(Buffer.from(hex, "hex")), SectionError);
  });
}

test("a data section that is no binary is refused", () => {
  const bytes = encodeSection(SECTION.DATA, types.wrap_string("text"));
  assert.throws(() => dataOf(bytes, splitSections(bytes)[0]), SectionError);
});

test("a section whose value lies about its inner sizes is refused when decoded", () => {
  const bytes = Buffer.from("005374c10a02a10161", "hex");
  const padded = Buffer.concat([bytes, Buffer.alloc(6)]);
  assert.throws(() => decodeSection(padded, splitSections(padded)[0]), SectionError);
});

test("deep nesting ends in an error, not in the end of the process", () => {
  let value = Buffer.from([0x45]);
  for (let i = 0; i < 30_000; i += 1) {
    const head = Buffer.alloc(9);
    head[0] = 0xd0;
    head.writeUInt32BE(value.length + 4, 1);
    head.writeUInt32BE(1, 5);
    value = Buffer.concat([head, value]);
    if (value.length > 60_000) break;
  }
  const bytes = Buffer.concat([Buffer.from([0, 0x53, SECTION.PROPERTIES]), value]);
  try {
    decodeSection(bytes, splitSections(bytes)[0]);
  } catch (error) {
    assert.ok(error instanceof SectionError);
  }
});

test("random bytes are either a message or a SectionError", () => {
  const random = randomNumbers(20261122);
  const sample = encoded("body", { applicationProperties: { a: 1, b: "two" } });
  for (let round = 0; round < 5_000; round += 1) {
    const bytes = Buffer.from(sample.subarray(0, 1 + random(sample.length)));
    for (let flips = random(6); flips >= 0; flips -= 1) {
      bytes[random(bytes.length)] = random(256);
    }
    try {
      for (const section of splitSections(bytes)) decodeSection(bytes, section);
    } catch (error) {
      assert.ok(error instanceof SectionError, `${bytes.toString("hex")}: ${error.stack}`);
    }
  }
});

test("typed maps keep the types of their values", () => {
  const map = types.Map32([
    types.wrap_symbol("n"),
    types.Short(7),
    types.wrap_string("s"),
    types.Null(),
  ]);
  const found = typedMap(map);
  assert.equal(found.get("n").type.name, "Short");
  assert.equal(plain(found.get("s")), null);
  assert.equal(typedMap(undefined).size, 0);
  assert.equal(typedMap(types.Null()).size, 0);
});
