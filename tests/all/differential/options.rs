//! Requests, or parts of them, whose words depend on one another in ways that no syntax tells.

use super::words::{Draft, Writer};

impl Writer<'_> {
    /// As many keys of streams as ids.
    pub(super) fn streams(&mut self, draft: &mut Draft<'_>) {
        let count = 1 + self.random.below(2);
        for _ in 0..count {
            let key = self.key("stream");
            draft.words.push(key);
        }
        for _ in 0..count {
            let id = if self.random.chance(80) {
                self.random.pick(&["0", ">", ">", ">", "$", "0-0"]).into()
            } else {
                self.stream_id()
            };
            draft.words.push(id);
        }
    }

    pub(super) fn add_lexical(&mut self, draft: &mut Draft<'_>) {
        draft.words.push(self.lexical_key());
        for _ in 0..=self.random.below(5) {
            let member = self.member();
            draft.words.extend([b"0".to_vec(), member]);
        }
    }

    pub(super) fn bitfield(&mut self, draft: &mut Draft<'_>) {
        draft.words.push(self.key("bitmap"));
        for _ in 0..=self.random.below(3) {
            let kind = self.random.pick(&[
                "u8", "i8", "u1", "i5", "u63", "i64", "u16", "i32", "u64", "i0", "x8", "i65",
            ]);
            let offset = self.random.pick(&[
                "0",
                "1",
                "7",
                "#1",
                "#3",
                "100",
                "3",
                "#0",
                "-1",
                "4294967296",
                "#abc",
            ]);
            let number = self.small_integer();
            let read_only = draft.syntax.name[0] == "bitfield_ro" && self.random.chance(90);
            let action = if read_only { 0 } else { self.random.below(4) };
            let texts: Vec<Vec<u8>> = match action {
                0 => vec![b"GET".into(), kind.into(), offset.into()],
                1 => vec![b"SET".into(), kind.into(), offset.into(), number],
                2 => vec![b"INCRBY".into(), kind.into(), offset.into(), number],
                _ => vec![
                    b"OVERFLOW".into(),
                    self.random.pick(&["WRAP", "SAT", "FAIL", "fail", "X"]).into(),
                ],
            };
            draft.words.extend(texts);
        }
    }

    pub(super) fn sort(&mut self, draft: &mut Draft<'_>) {
        draft.words[0] = self.random.pick(&["sort", "sort", "sort_ro"]).into();
        // Redis changes the layout of sorted sets that it sorts: those are taken whose layout is not compared.
        let key = match self.random.below(3) {
            0 => self.lexical_key(),
            1 => format!("l{}", self.random.below(3)).into(),
            _ => format!("s{}", self.random.below(3)).into(),
        };
        draft.words.push(key);
        if self.random.chance(30) {
            let by = self
                .random
                .pick(&["nosort", "t*", "h*->a", "*", "none*", "l*", "t\\*", "h0->*"]);
            draft.words.extend([b"BY".to_vec(), by.into()]);
        }
        // Which elements are looked up is left open where their order is.
        let is_settled = !draft.words.contains(&b"BY".to_vec());
        if is_settled && self.random.chance(30) {
            let (offset, count) = (self.small_integer(), self.small_integer());
            draft.words.extend([b"LIMIT".to_vec(), offset, count]);
        }
        for _ in 0..self.random.below(3) {
            if self.random.chance(50) {
                let pattern = self
                    .random
                    .pick(&["#", "t*", "h*->a", "none*", "*", "h*->", "l*"]);
                draft.words.extend([b"GET".to_vec(), pattern.into()]);
            }
        }
        for option in ["ASC", "DESC", "ALPHA"] {
            if self.random.chance(35) {
                draft.words.push(option.into());
            }
        }
        if draft.words[0] == b"sort" && is_settled && self.random.chance(20) {
            let key = self.key("list");
            draft.words.extend([b"STORE".to_vec(), key]);
        }
    }
}
