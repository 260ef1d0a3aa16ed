//! Code page 437, in which a zip archive's names are unless it says UTF-8.

/// Its upper half (Unicode's mapping table CP437.TXT).
const UPPER: [char; 128] = [
    'Ç', 'ü', 'é', 'â', 'ä', 'à', 'å', 'ç', 'ê', 'ë', 'è', 'ï', 'î', 'ì', 'Ä', 'Å', 'É', 'æ', 'Æ', 'ô', 'ö', 'ò', 'û',
    'ù', 'ÿ', 'Ö', 'Ü', '¢', '£', '¥', '₧', 'ƒ', 'á', 'í', 'ó', 'ú', 'ñ', 'Ñ', 'ª', 'º', '¿', '⌐', '¬', '½', '¼', '¡',
    '«', '»', '░', '▒', '▓', '│', '┤', '╡', '╢', '╖', '╕', '╣', '║', '╗', '╝', '╜', '╛', '┐', '└', '┴', '┬', '├', '─',
    '┼', '╞', '╟', '╚', '╔', '╩', '╦', '╠', '═', '╬', '╧', '╨', '╤', '╥', '╙', '╘', '╒', '╓', '╫', '╪', '┘', '┌', '█',
    '▄', '▌', '▐', '▀', 'α', 'ß', 'Γ', 'π', 'Σ', 'σ', 'µ', 'τ', 'Φ', 'Θ', 'Ω', 'δ', '∞', 'φ', 'ε', '∩', '≡', '±', '≥',
    '≤', '⌠', '⌡', '÷', '≈', '°', '∙', '·', '√', 'ⁿ', '²', '■', '\u{a0}',
];

/// Decodes bytes; every one of them means something.
pub(crate) fn decode(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| if byte < 128 { char::from(byte) } else { UPPER[usize::from(byte) - 128] }).collect()
}

#[cfg(test)]
mod tests {
    use super::decode;

    /// What `bytes(range(128, 256)).decode("cp437")` of Python gives begins, goes on and ends so.
    #[test]
    fn decodes_like_python() {
        assert_eq!(decode(b"caf\x82/\x9c\xe1\xff"), "café/£ß\u{a0}");
    }
}
