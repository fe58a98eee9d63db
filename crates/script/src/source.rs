//! Texts in Lua become functions.
//!
//! For scripts, for libraries, and for what a script itself makes (`loadstring`): one place, so
//! that the cap and the refusal of bytecode hold for all of them.

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, Table};

/// The longest source, in bytes: compiling takes about a microsecond each and memory that no limit
/// counts.
pub(crate) const SOURCE_MAX: usize = 1 << 20;

/// Compiles a text. Only text: what is no text of Lua is an error, never bytecode.
pub(crate) fn compile(
    lua: &Lua,
    source: &[u8],
    name: &str,
    environment: &Table,
) -> mlua::Result<Function> {
    if source.len() > SOURCE_MAX {
        return Err(mlua::Error::SyntaxError {
            message: format!("the source is longer than {SOURCE_MAX} bytes"),
            incomplete_input: false,
        });
    }
    // mlua takes a text for bytecode that begins with a byte below the line feed: a tab, too.
    let mut text = Vec::with_capacity(source.len() + 1);
    text.push(b' ');
    text.extend_from_slice(source);
    let name: String = name.chars().filter(|char| *char != '\0').collect();
    lua.load(text)
        .set_name(name)
        .set_mode(ChunkMode::Text)
        .set_environment(environment.clone())
        .into_function()
}
