//! The checksum of payloads: CRC-64 with the polynomial of Jones, bits reflected, begun with zero, as Redis has it.

/// Reflected, like everything else here: the lowest bit is the highest power.
const POLYNOMIAL: u64 = 0xad93_d235_94c9_35a9_u64.reverse_bits();

/// `TABLES[n][b]` is the checksum of the byte `b` with `n` zero bytes behind it.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut behind = 1;
    while behind < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc: u64 = tables[behind - 1][byte];
            tables[behind][byte] = crc >> 8 ^ tables[0][(crc & 0xff) as usize];
            byte += 1;
        }
        behind += 1;
    }
    tables
}

/// The checksum of `bytes`. O(n), eight bytes a step.
pub(super) fn crc64(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let crc = words
        .iter()
        .fold(0, |crc, word| step(crc ^ u64::from_le_bytes(*word)));
    rest.iter().fold(crc, |crc, byte| {
        crc >> 8 ^ TABLES[0][usize::from(crc as u8 ^ byte)]
    })
}

/// Takes in eight bytes that the checksum so far was already added to.
fn step(sum: u64) -> u64 {
    let bytes = sum.to_le_bytes();
    (0..8).fold(0, |crc, at| crc ^ TABLES[7 - at][usize::from(bytes[at])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_checksum_that_redis_names() {
        assert_eq!(crc64(b""), 0);
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn eight_bytes_at_once_mean_the_same_as_one_by_one() {
        let bytes: Vec<u8> = (0..100_u8).map(|number| number.wrapping_mul(37)).collect();
        for end in 0..bytes.len() {
            let one_by_one = bytes[..end]
                .iter()
                .fold(0, |crc, byte| crc >> 8 ^ TABLES[0][usize::from(crc as u8 ^ byte)]);
            assert_eq!(crc64(&bytes[..end]), one_by_one);
        }
    }
}
