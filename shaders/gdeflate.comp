// Decodes GDeflate tiles: 32 invocations a tile, one for each of its bit streams (lanes).
//
// Built twice. With LANES_ARE_SUBGROUP the workgroup, which is a tile, is one subgroup of exactly 32
// invocations, and lanes talk through subgroup operations. Without it they talk through shared memory and
// workgroup barriers, and no subgroup operation is used at all: any subgroup size will do, if slowly.
//
// Bindings: none. Push constants hold the addresses of the table of jobs and of the statuses, and how many
// of each there are. A job names a tile and its output by device address; see TileJob in
// ds-core/src/gpu/decode.rs, which asserts the layout. Source addresses are multiples of 4.
//
// Input is hostile. No word is loaded outside the job's source, no byte loaded or stored outside its
// destination. Every operation takes at least one bit, and words past the end are an error at the end of
// the round that took them, so a tile takes at most as many rounds as it has bits, of which there is a
// largest number. A status of 0 says that every byte of the destination was written; the other statuses are
// the ERROR constants below.
//
// The structure. In a round each lane takes one symbol: a literal, a length, or the distance for the length
// it took in the round before. A prefix sum over the lengths says where each output belongs. What a round
// put out is known when the next round has brought its distances. It then waits until 64 bytes are known,
// which are written at once, two a lane. A lane finds the output its byte belongs to by counting the
// beginnings at or before it. The source of a match is before the 64 bytes, and then in memory already; or
// among them, and then the lane follows the distances back to a byte that is not. bench/gpu says what each
// of these is worth.
//
// Control flow is uniform over a tile wherever lanes talk: some drivers lose lanes otherwise.
#version 460
#pragma use_vulkan_memory_model
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_int16 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_memory_scope_semantics : require
#ifdef LANES_ARE_SUBGROUP
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_vote : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#endif

layout(local_size_x = 32, local_size_y = 1, local_size_z = 1) in;

const uint LANES = 32;
// Index bits of the two lookup tables; longer codewords are searched for.
const uint LITERAL_BITS = 9;
const uint DISTANCE_BITS = 8;
const uint LITERAL_LEN = 1u << LITERAL_BITS;
const uint DISTANCE_LEN = 1u << DISTANCE_BITS;
const uint TABLE_LEN = LITERAL_LEN + DISTANCE_LEN;
// Symbols that a header can give a length.
const uint LITERAL_SYMBOLS = 288;
const uint DISTANCE_SYMBOLS = 32;
const uint SYMBOLS = LITERAL_SYMBOLS + DISTANCE_SYMBOLS;
const uint TILE_BYTES_MAX = 65536;
const uint SOURCE_BYTES_MIN = 128;
// More of a tile is not looked at, which bounds the time of one that is nothing but empty blocks.
const uint SOURCE_BYTES_MAX = 2 * TILE_BYTES_MAX;
// All patterns of 15 bits.
const uint CODE_SPACE = 32768;

const uint OK = 0;
const uint ERROR_SIZES = 1;
const uint ERROR_TRUNCATED = 2;
const uint ERROR_BLOCK_TYPE = 3;
const uint ERROR_CODE = 4;
const uint ERROR_SYMBOL = 5;
const uint ERROR_DISTANCE = 6;
const uint ERROR_OVERFLOW = 7;
const uint ERROR_UNDERFLOW = 8;

#ifdef LANES_ARE_SUBGROUP
#define COHERENT subgroupcoherent
#else
#define COHERENT workgroupcoherent
#endif

struct Job {
    uvec2 source;
    uvec2 destination;
    uint source_bytes;
    uint destination_bytes;
};

layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer Jobs { Job at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) writeonly buffer Statuses { uint at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Words { uint at[]; };
layout(buffer_reference, std430, buffer_reference_align = 1) COHERENT buffer Bytes { uint8_t at[]; };

layout(push_constant) uniform Push {
    uvec2 jobs;
    uvec2 statuses;
    uint count;
};

// What an entry of the tables holds, from the lowest bit: 8 bits of value; a flag for lengths; a flag for
// what is neither literal nor value; two that say what it is; at the top 4 bits the bits of the codeword.
// The value is a literal, or the number of a length or distance symbol counted from the first one.
const uint ENTRY_LENGTH = 1u << 8;
const uint ENTRY_SPECIAL = 1u << 9;
const uint ENTRY_END = 1u << 10;
// A codeword longer than the table's index: to be searched for.
const uint ENTRY_LONG = ENTRY_SPECIAL | 1u << 11;
const uint ENTRY_BITS_SHIFT = 12;
// A symbol that no code has, for the codeword of an empty code.
const uint SYMBOL_NONE = ENTRY_SPECIAL;

// First the code lengths of a block, then the tables made from them.
shared uint16_t table[TABLE_LEN];
// The symbols of both codes that have a codeword, in the order of codewords; distances from LITERAL_SYMBOLS
// on.
shared uint16_t symbols[SYMBOLS];
// For both codes and each codeword length: the first 15-bit pattern beyond it, and above it what leads from
// the codeword to its place among the symbols.
shared uint limits[LANES];
// What has a place in the output and is not written yet: for each byte whether something begins there, and in
// order what: a distance, or above it a literal. Both go round. Fewer than 64 bytes wait between rounds.
const uint START_BYTES = 512;
const uint START_WORDS = START_BYTES / 32;
const uint WAITING = 128;
shared uint begin_bits[START_WORDS];
shared uint outputs[WAITING];

// ---- Lanes ----------------------------------------------------------------------------------------------

uint lane;

#ifdef LANES_ARE_SUBGROUP

// All lanes have come here, and what each stored before is seen by all after.
void lanes_meet()
{
    controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup,
                   gl_StorageSemanticsShared | gl_StorageSemanticsBuffer, gl_SemanticsAcquireRelease);
}
uint lanes_where(bool condition) { return subgroupBallot(condition).x; }
bool lanes_any(bool condition) { return subgroupAny(condition); }
uint lanes_or(uint value) { return subgroupOr(value); }
// The sum over this lane and all before it.
uint lanes_sum_up_to(uint value) { return subgroupInclusiveAdd(value); }
uint lanes_shuffle(uint value, uint from) { return subgroupShuffle(value, from); }

#else

// Each call of the functions below meets once, so what it uses must rest during the next call, in which
// slower lanes may still be reading it: two halves and three words take turns.
shared uint exchange[2 * LANES];
uint exchange_turn = 0;
shared uint gathered[3];
uint gathered_turn = 0;

void lanes_meet()
{
    controlBarrier(gl_ScopeWorkgroup, gl_ScopeWorkgroup,
                   gl_StorageSemanticsShared | gl_StorageSemanticsBuffer, gl_SemanticsAcquireRelease);
}

// One word is gathered in, the next one was cleared a turn ago, the one before may still be being read.
uint lanes_or(uint value)
{
    uint turn = gathered_turn;
    gathered_turn = turn == 2 ? 0 : turn + 1;
    atomicOr(gathered[turn], value);
    lanes_meet();
    gathered[turn == 0 ? 2 : turn - 1] = 0;
    return gathered[turn];
}
uint lanes_where(bool condition) { return lanes_or(condition ? 1u << lane : 0); }
bool lanes_any(bool condition) { return lanes_where(condition) != 0; }
// Shows all lanes every lane's value, from the index that is returned.
uint lanes_show(uint value)
{
    uint turn = exchange_turn;
    exchange_turn = LANES - turn;
    exchange[turn + lane] = value;
    lanes_meet();
    return turn;
}
uint lanes_sum_up_to(uint value)
{
    uint first = lanes_show(value);
    uint sum = 0;
    for (uint i = 0; i < LANES; i++) {
        sum += i <= lane ? exchange[first + i] : 0;
    }
    return sum;
}
uint lanes_shuffle(uint value, uint from)
{
    uint first = lanes_show(value);
    return exchange[first + (from & (LANES - 1))];
}

#endif

uint lanes_before_me() { return (1u << lane) - 1; }

// ---- Bits -----------------------------------------------------------------------------------------------

Words source;
uint source_words;
// The next word that a lane will take; the same in all lanes.
uint next_word;

// A lane's bits are those of `high:low` above its lowest `63 - held` ones, where `held` is 32 to 63: it is
// `63 - spent`, and so a lane needs a word when `spent` passes 31.
uint low;
uint high;
uint spent;

// The next 31 bits at least, the next one lowest.
uint peek()
{
#ifdef LANES_ARE_SUBGROUP
    return uint(pack64(uvec2(low, high)) >> (spent + 1));
#else
    return (high << (31 - spent)) | ((low >> spent) >> 1);
#endif
}

uint load_word(uint index) { return index < source_words ? source.at[index] : 0; }

// The ring holds two chunks of 32 words, one word a lane, and the chunk behind them is on its way, so that
// no lane waits for memory. Over a bus that is worth two thirds more speed; from the device's own memory it
// costs nothing.
const uint RING_WORDS = 64;
shared uint ring[RING_WORDS];
// Words before this one are, or were, in the ring; `ahead` is the one after them that is this lane's.
uint ring_end;
uint ahead;

// Sees to it that the next 32 words are in the ring. Those that are overwritten were taken.
void fill_ring()
{
    if (ring_end < next_word + LANES) {
        lanes_meet();
        ring[ring_end + lane & RING_WORDS - 1] = ahead;
        ring_end += LANES;
        ahead = load_word(ring_end + lane);
        lanes_meet();
    }
}

// Ends an operation of every lane: drops `bits` (0..=31), and hands the next words to the lanes that need
// one, in the order of lanes.
void take(uint bits)
{
    fill_ring();
    spent += bits;
    bool empty = spent > 31;
    uint needy = lanes_where(empty);
    if (empty) {
        low = high;
        uint word = next_word + bitCount(needy & lanes_before_me());
        high = ring[word & RING_WORDS - 1];
        spent -= 32;
    }
    next_word += bitCount(needy);
}

void start_lanes()
{
    low = 0;
    high = load_word(lane);
    spent = 31;
    next_word = LANES;
    ring_end = LANES;
    ahead = load_word(ring_end + lane);
}

// `bits` bits of lane 0, in all lanes.
uint take_from_first(uint bits)
{
    uint value = lanes_shuffle(peek(), 0) & ((1u << bits) - 1);
    take(lane == 0 ? bits : 0);
    return value;
}

// ---- Codes ----------------------------------------------------------------------------------------------

// The lanes whose value of 4 bits is `wanted`, which may differ from lane to lane.
uint lanes_equal(uint value, uint wanted)
{
    uint equal = ~0u;
    [[unroll]] for (uint bit = 0; bit < 4; bit++) {
        uint set = lanes_where((value >> bit & 1) != 0);
        equal &= (wanted >> bit & 1) != 0 ? set : ~set;
    }
    return equal;
}

// From how many codewords have length `lane % 16`, in the first code for lanes below 16 and in the second
// one above: writes `limits`. Returns the place of the first symbol of that length among those of its code.
// `first_ok` and `second_ok` say whether they are codes; one codeword of one bit, and no codeword at all,
// count as codes of two codewords.
uint set_limits(uint count, out bool first_ok, out bool second_ok, out uint sparse)
{
    const uint SPACE_BITS = 23;
    const uint SPACE_MASK = (1u << SPACE_BITS) - 1;
    uint bits = lane & 15;
    uint claimed = bits == 0 ? 0 : count << (15 - bits);
    count = bits == 0 ? 0 : count;
    // Both sums at once: 320 codewords of 1 bit fit into the 23.
    uint sums = lanes_sum_up_to(claimed | count << SPACE_BITS);
    uint first_sums = lanes_shuffle(sums, 15);
    sums -= lane < 16 ? 0 : first_sums;
    uint second_sums = lanes_shuffle(sums, 31);
    uint first_ones = lanes_shuffle(count, 1);
    uint second_ones = lanes_shuffle(count, 17);
    uint first_space = first_sums & SPACE_MASK;
    uint second_space = second_sums & SPACE_MASK;
    bool first_sparse = first_space == 0 || (first_space == CODE_SPACE / 2 && first_ones == 1);
    bool second_sparse = second_space == 0 || (second_space == CODE_SPACE / 2 && second_ones == 1);
    first_ok = first_sparse || first_space == CODE_SPACE;
    second_ok = second_sparse || second_space == CODE_SPACE;
    sparse = (first_sparse ? 1 : 0) | (second_sparse ? 2 : 0);

    uint limit = sums & SPACE_MASK;
    uint place = (sums >> SPACE_BITS) - count;
    uint first_codeword = (limit - claimed) >> (15 - bits);
    bool is_sparse = lane < 16 ? first_sparse : second_sparse;
    limit = is_sparse ? CODE_SPACE : limit;
    uint to_symbol = (lane < 16 ? 0 : LITERAL_SYMBOLS) + place - first_codeword;
    limits[lane] = (limit & 0xFFFF) | to_symbol << 16;
    return place;
}

// A code with one codeword or none becomes one of two, both with the same symbol.
void fill_sparse(uint sparse, uint first_codewords, uint second_codewords)
{
    if (lane < 2 && (sparse >> lane & 1) != 0) {
        uint base = lane == 0 ? 0 : LITERAL_SYMBOLS;
        bool none = (lane == 0 ? first_codewords : second_codewords) == 0;
        uint16_t symbol = none ? uint16_t(SYMBOL_NONE) : symbols[base];
        symbols[base] = symbol;
        symbols[base + 1] = symbol;
    }
}

// The length of the codeword that `pattern` begins with, if it is at least `from`. `code` is 0, or 16 for the
// second one; `pattern` has 15 bits, the first one highest.
uint codeword_bits(uint pattern, uint code, uint from)
{
    uint bits = from;
    if (from == 1) {
        for (uint step = 8; step > 0; step >>= 1) {
            uint longer = bits + step;
            bits = pattern >= (limits[code + longer - 1] & 0xFFFF) ? longer : bits;
        }
        return bits;
    }
    for (uint longer = from; longer < 15; longer++) {
        bits += pattern >= (limits[code + longer] & 0xFFFF) ? 1 : 0;
    }
    return bits;
}

uint codeword_symbol(uint pattern, uint code, uint bits)
{
    uint place = (limits[code + bits] >> 16) + (pattern >> (15 - bits)) & 0xFFFF;
    return symbols[min(place, SYMBOLS - 1)];
}

uint literal_entry(uint symbol, uint bits)
{
    uint entry = bits << ENTRY_BITS_SHIFT;
    if (symbol < 256) {
        return entry | symbol;
    }
    if (symbol == 256) {
        return entry | ENTRY_SPECIAL | ENTRY_END;
    }
    if (symbol > 285) {
        return entry | ENTRY_SPECIAL;
    }
    // Number 68 has 16 extra bits, as symbol 285 must; `read_symbols` masks away the base that comes with it.
    return entry | ENTRY_LENGTH | (symbol == 285 ? 68 : symbol - 257);
}

uint distance_entry(uint symbol, uint bits)
{
    return bits << ENTRY_BITS_SHIFT | (symbol < DISTANCE_SYMBOLS ? symbol : ENTRY_SPECIAL);
}

// The entry for a codeword that is not in the tables, or not yet.
uint find_entry(uint bits, bool is_distance, uint from)
{
    uint pattern = bitfieldReverse(bits) >> 17;
    uint code = is_distance ? 16 : 0;
    uint codeword = codeword_bits(pattern, code, from);
    return codeword_symbol(pattern, code, codeword) | codeword << ENTRY_BITS_SHIFT;
}

// The tables from `limits` and `symbols`.
void fill_tables()
{
    for (uint index = lane; index < LITERAL_LEN; index += LANES) {
        uint entry = find_entry(index, false, 1);
        entry = entry >> ENTRY_BITS_SHIFT > LITERAL_BITS ? ENTRY_LONG : entry;
        table[index] = uint16_t(entry);
    }
    for (uint index = lane; index < DISTANCE_LEN; index += LANES) {
        uint entry = find_entry(index, true, 1);
        entry = entry >> ENTRY_BITS_SHIFT > DISTANCE_BITS ? ENTRY_LONG : entry;
        table[LITERAL_LEN + index] = uint16_t(entry);
    }
}

// The code lengths, which lie where the tables will be.
uint length_at(uint symbol) { return table[symbol]; }

// Both codes of a block, from the code lengths: all literal/length symbols, then the distances.
uint set_codes()
{
    lanes_meet();
    uint count = 0;
    for (uint first = 0; first < SYMBOLS; first += LANES) {
        uint equal = lanes_equal(length_at(first + lane), lane & 15);
        bool mine = (first == LITERAL_SYMBOLS) == (lane >= 16);
        count += mine ? bitCount(equal) : 0;
    }
    bool literals_ok, distances_ok;
    uint sparse;
    uint place = set_limits(count, literals_ok, distances_ok, sparse);
    bool ends = length_at(256) != 0;
    if (!literals_ok || !distances_ok || !ends) {
        return ERROR_CODE;
    }
    for (uint first = 0; first < SYMBOLS; first += LANES) {
        bool second = first == LITERAL_SYMBOLS;
        uint bits = length_at(first + lane);
        uint rank = bitCount(lanes_equal(bits, bits) & lanes_before_me());
        uint at = lanes_shuffle(place, bits + (second ? 16 : 0)) + rank;
        if (bits != 0) {
            symbols[(second ? LITERAL_SYMBOLS : 0) + at] =
                uint16_t(second ? distance_entry(lane, 0) : literal_entry(first + lane, 0));
        }
        uint equal = lanes_equal(bits, lane & 15);
        place += second == (lane >= 16) ? bitCount(equal) : 0;
    }
    uint distances = lanes_shuffle(place, 31);
    lanes_meet();
    // A literal/length code has at least the end of the block.
    fill_sparse(sparse, 1, distances);
    lanes_meet();
    fill_tables();
    lanes_meet();
    return OK;
}

void set_static_lengths()
{
    lanes_meet();
    for (uint symbol = lane; symbol < SYMBOLS; symbol += LANES) {
        uint bits = symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : symbol < 288 ? 8 : 5;
        table[symbol] = uint16_t(bits);
    }
}

// The order in which precode lengths are sent, 5 bits each.
uint precode_symbol(uint index)
{
    const uint ORDER[4] = uint[](
        16u | 17u << 5 | 18u << 10 | 0u << 15 | 8u << 20 | 7u << 25,
        9u | 6u << 5 | 10u << 10 | 5u << 15 | 11u << 20 | 4u << 25,
        12u | 3u << 5 | 13u << 10 | 2u << 15 | 14u << 20 | 1u << 25,
        15u);
    return ORDER[index / 6] >> index % 6 * 5 & 31;
}

// The code of code lengths, as the first code of `limits`.
uint read_precode(uint count)
{
    uint bits = lane < count ? peek() & 7 : 0;
    take(lane < count ? 3 : 0);
    lanes_meet();
    symbols[lane] = uint16_t(0);
    lanes_meet();
    if (lane < count) {
        symbols[precode_symbol(lane)] = uint16_t(bits);
    }
    lanes_meet();
    bits = symbols[lane];
    lanes_meet();
    uint equal = lanes_equal(bits, lane & 15);
    bool precode_ok, none_ok;
    uint sparse;
    uint place = set_limits(lane < 16 ? bitCount(equal) : 0, precode_ok, none_ok, sparse);
    if (!precode_ok) {
        return ERROR_CODE;
    }
    uint rank = bitCount(lanes_equal(bits, bits) & lanes_before_me());
    uint at = lanes_shuffle(place, bits) + rank;
    if (bits != 0) {
        symbols[at] = uint16_t(lane);
    }
    uint codewords = bitCount(lanes_where(bits != 0));
    lanes_meet();
    fill_sparse(sparse & 1, codewords, 0);
    lanes_meet();
    return OK;
}

// One round of code lengths. `done` of `total` are there; `last` is the one before.
uint read_lengths(inout uint done, uint total, uint literals, inout uint last)
{
    uint pattern = bitfieldReverse(peek()) >> 17;
    uint bits = codeword_bits(pattern, 0, 1);
    uint symbol = codeword_symbol(pattern, 0, bits);
    uint behind = peek() >> bits;
    uint extra_bits = symbol < 16 ? 0 : symbol == 16 ? 2 : symbol == 17 ? 3 : 7;
    uint run = symbol < 16 ? 1 : (symbol == 18 ? 11 : 3) + (behind & ((1u << extra_bits) - 1));
    uint ends = lanes_sum_up_to(run);
    uint begin = done + ends - run;
    bool acts = begin < total;
    bool wrong = acts && (symbol > 18 || begin + run > total || (symbol == 16 && begin == 0));
    if (lanes_any(wrong)) {
        return ERROR_CODE;
    }
    take(acts ? bits + extra_bits : 0);
    // A repeat takes its value from the last lane before it that has one of its own.
    uint value = symbol < 16 ? symbol : 0;
    uint own = lanes_where(symbol != 16);
    uint before = own & (lanes_before_me() << 1 | 1);
    uint giver = before == 0 ? 0 : findMSB(before);
    uint given = lanes_shuffle(value, giver);
    value = before == 0 ? last : given;
    // Zeros are there already, and a repeat of anything else is at most 6 long.
    uint stores = acts && value != 0 ? run : 0;
    uint steps = lanes_or(stores);
    for (uint step = 0; step < steps; step++) {
        uint at = begin + step;
        // Distances always begin at the same place.
        uint index = at < literals ? at : LITERAL_SYMBOLS + at - literals;
        if (step < stores) {
            table[index] = uint16_t(value);
        }
    }
    last = lanes_shuffle(value, LANES - 1);
    done = min(total, done + lanes_shuffle(ends, LANES - 1));
    return OK;
}

uint read_codes()
{
    uint counts = take_from_first(14);
    uint literals = 257 + (counts & 31);
    uint distances = 1 + (counts >> 5 & 31);
    uint status = read_precode(4 + (counts >> 10));
    for (uint symbol = lane; symbol < SYMBOLS; symbol += LANES) {
        table[symbol] = uint16_t(0);
    }
    lanes_meet();
    uint total = literals + distances;
    uint done = 0;
    uint last = 0;
    while (status == OK && done < total) {
        status = read_lengths(done, total, literals, last);
    }
    return status == OK ? set_codes() : status;
}

// ---- Output ---------------------------------------------------------------------------------------------

Bytes destination;
uint destination_bytes;
// How many bytes have a place; how many of them are known; and how many are written, a multiple of 64.
uint reserved;
uint known;
uint written;
// How many outputs there were; and how many begin before `written`.
uint outputs_end;
uint outputs_begun;

// The values of a half after lanes that follow others have theirs. `back` is how many lanes back the value
// of a follower comes from, and that lane may follow in turn.
uint follow(uint value, bool follows, uint back)
{
    uint followers = lanes_where(follows);
    if (followers != 0) {
        uint from = follows ? lane - back : lane;
        // Each step doubles how far back a lane looks. The first one is cheaper than to ask whether it is
        // needed.
        from = lanes_shuffle(from, from);
        while (lanes_any((followers >> from & 1) != 0)) {
            from = lanes_shuffle(from, from);
        }
        value = lanes_shuffle(value, from);
    }
    return value;
}

// Writes 64 bytes, or as many of them as are known. Two halves, so that two loads are under way at once.
// Returns how many outputs begin there.
uint write_window(uint end)
{
    uint up_to_me = lanes_before_me() << 1 | 1;
    uint word = written / 32 & START_WORDS - 1;
    uint begins0 = begin_bits[word];
    uint begins1 = begin_bits[word + 1];
    uint first = outputs_begun - 1;
    uint what0 = outputs[first + bitCount(begins0 & up_to_me) & WAITING - 1];
    first += bitCount(begins0);
    uint what1 = outputs[first + bitCount(begins1 & up_to_me) & WAITING - 1];

    uint distance0 = what0 & 0xFFFF;
    uint distance1 = what1 & 0xFFFF;
    uint value0 = what0 >> 16;
    uint value1 = what1 >> 16;
    uint at = written + lane;
    bool inside0 = at < end;
    bool inside1 = at + LANES < end;
    if (distance0 > lane && inside0) {
        value0 = destination.at[at - distance0];
    }
    if (distance1 > lane + LANES && inside1) {
        value1 = destination.at[at + LANES - distance1];
    }
    value0 = follow(value0, distance0 - 1 < lane, distance0);
    bool near1 = distance1 - 1 < lane + LANES;
    bool across = near1 && distance1 > lane;
    uint crossed = lanes_shuffle(value0, (lane - distance1) & (LANES - 1));
    value1 = across ? crossed : value1;
    value1 = follow(value1, near1 && !across, distance1);
    if (inside0) {
        destination.at[at] = uint8_t(value0);
    }
    if (inside1) {
        destination.at[at + LANES] = uint8_t(value1);
    }
    lanes_meet();
    return bitCount(begins0) + bitCount(begins1);
}

// Writes all whole windows of what is known.
void write_windows(uint to)
{
    while (to - written >= 2 * LANES) {
        outputs_begun += write_window(~0u);
        if (lane < 2) {
            begin_bits[(written / 32 & START_WORDS - 1) + lane] = 0;
        }
        written += 2 * LANES;
    }
}

// Takes what one round put out, which ends at `to`. `begins` says whether this lane put something out,
// `start` where it goes.
void put_out(bool begins, uint start, uint what, uint to)
{
    uint producers = lanes_where(begins);
    if (begins) {
        outputs[outputs_end + bitCount(producers & lanes_before_me()) & WAITING - 1] = what;
    }
    outputs_end += bitCount(producers);
    known = to;
    // As far as there is room for beginnings: nearly always that is all.
    uint room = written + START_BYTES - 2 * LANES;
    bool waits = begins;
    while (known > room) {
        if (waits && start < room) {
            atomicOr(begin_bits[start / 32 & START_WORDS - 1], 1u << (start & 31));
            waits = false;
        }
        lanes_meet();
        write_windows(room);
        lanes_meet();
        room = written + START_BYTES - 2 * LANES;
    }
    if (waits) {
        atomicOr(begin_bits[start / 32 & START_WORDS - 1], 1u << (start & 31));
    }
    lanes_meet();
    write_windows(known);
}

void start_output()
{
    reserved = 0;
    known = 0;
    written = 0;
    outputs_end = 0;
    outputs_begun = 0;
    if (lane < START_WORDS) {
        begin_bits[lane] = 0;
    }
    lanes_meet();
}

uint read_stored()
{
    uint bytes = take_from_first(16);
    if (bytes > destination_bytes - reserved) {
        return ERROR_OVERFLOW;
    }
    uint end = reserved + bytes;
    while (reserved < end && next_word <= source_words) {
        bool mine = reserved + lane < end;
        uint byte = peek() & 0xFF;
        take(mine ? 8 : 0);
        uint start = reserved + lane;
        reserved = min(reserved + LANES, end);
        put_out(mine, start, byte << 16, reserved);
    }
    return OK;
}

// ---- Symbols --------------------------------------------------------------------------------------------

// The symbols of a block.
uint read_symbols()
{
    // What this lane did in the round before.
    bool distance_due = false;
    bool begins = false;
    uint start = 0;
    uint literal = 0;
    // The end of the block was met; only distances are left.
    bool ending = false;
    bool ended = false;
    // Not looked at before the end, since it is a lane's own.
    bool too_far = false;
    uint status = OK;
    while (!ended && status == OK && next_word <= source_words && reserved <= destination_bytes) {
        uint bits = peek();
        uint index = distance_due ? LITERAL_LEN + (bits & (DISTANCE_LEN - 1)) : bits & (LITERAL_LEN - 1);
        uint entry = table[index];
        bool acts = distance_due || !ending;
        ended = ending;
        // Not too rare: a codeword longer than the tables' indices.
        if (lanes_any((entry & ENTRY_SPECIAL) != 0)) {
            uint found = find_entry(bits, distance_due, min(LITERAL_BITS, DISTANCE_BITS) + 1);
            entry = entry == ENTRY_LONG ? found : entry;
            // Rare: the end of the block, or an error.
            if (lanes_any((entry & ENTRY_SPECIAL) != 0)) {
                uint ends = lanes_where(acts && (entry & ENTRY_END) != 0);
                ending = ending || ends != 0;
                // Behind the lane that ended the block only distances are taken.
                acts = acts && (distance_due || ends == 0 || lane <= findLSB(ends));
                bool wrong = acts && (entry & (ENTRY_SPECIAL | ENTRY_END)) == ENTRY_SPECIAL;
                status = lanes_any(wrong) ? ERROR_SYMBOL : status;
            }
        }
        // Symbols of lengths come in fours with one more extra bit, those of distances in twos.
        uint codeword = entry >> ENTRY_BITS_SHIFT;
        bool is_length = (entry & ENTRY_LENGTH) != 0;
        uint symbol = entry & 0xFF;
        uint group = distance_due ? 1 : 2;
        uint extra_bits = distance_due || is_length ? max(symbol >> group, 1) - 1 : 0;
        uint base = symbol - (extra_bits << group) << extra_bits;
        // The mask leaves of symbol 285, number 68, only the extra bits.
        uint value = (base | bits >> codeword & ((1u << extra_bits) - 1)) & 0x3FFFF;
        value += distance_due ? 1 : 3;
        take(acts ? codeword + extra_bits : 0);

        // Now the round before is known in full.
        bool bad = distance_due && value > start;
        too_far = too_far || bad;
        put_out(begins, start, distance_due && !bad ? value : literal << 16, reserved);

        begins = acts && !distance_due && (entry & ENTRY_SPECIAL) == 0;
        distance_due = begins && is_length;
        literal = symbol;
        uint bytes = begins ? (is_length ? value : 1) : 0;
        uint sum = lanes_sum_up_to(bytes);
        start = reserved + sum - bytes;
        reserved += lanes_shuffle(sum, LANES - 1);
    }
    status = lanes_any(too_far) ? ERROR_DISTANCE : status;
    status = reserved > destination_bytes ? ERROR_OVERFLOW : status;
    return next_word > source_words ? ERROR_TRUNCATED : status;
}

// ---- Tiles ----------------------------------------------------------------------------------------------

uint read_blocks()
{
    start_lanes();
    start_output();
    // A tile may be thousands of tiny static blocks: their tables are made once.
    bool tables_are_static = false;
    uint status = OK;
    bool last = false;
    while (status == OK && !last) {
        uint header = take_from_first(3);
        last = (header & 1) != 0;
        uint type = header >> 1;
        if (type == 0) {
            status = read_stored();
        } else if (type == 3) {
            status = ERROR_BLOCK_TYPE;
        } else {
            if (type == 2) {
                status = read_codes();
                tables_are_static = false;
            } else if (!tables_are_static) {
                set_static_lengths();
                status = set_codes();
                tables_are_static = true;
            }
            if (status == OK) {
                status = read_symbols();
            }
        }
        status = status == OK && next_word > source_words ? ERROR_TRUNCATED : status;
    }
    if (status == OK) {
        write_window(known);
    }
    return status == OK && reserved != destination_bytes ? ERROR_UNDERFLOW : status;
}

void main()
{
#ifdef LANES_ARE_SUBGROUP
    lane = gl_SubgroupInvocationID;
#else
    lane = gl_LocalInvocationIndex;
    if (lane < 3) {
        gathered[lane] = 0;
    }
    lanes_meet();
#endif
    uint tile = gl_WorkGroupID.x;
    if (tile >= count) {
        return;
    }
    Job job = Jobs(jobs).at[tile];
    source = Words(job.source);
    source_words = min(job.source_bytes, SOURCE_BYTES_MAX) / 4;
    destination = Bytes(job.destination);
    destination_bytes = job.destination_bytes;
    bool sizes_ok = job.source_bytes >= SOURCE_BYTES_MIN && job.source_bytes % 4 == 0
        && destination_bytes >= 1 && destination_bytes <= TILE_BYTES_MAX && job.source.x % 4 == 0;
    uint status = sizes_ok ? read_blocks() : ERROR_SIZES;
    if (lane == 0) {
        Statuses(statuses).at[tile] = status;
    }
}
