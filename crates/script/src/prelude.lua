-- What stands between scripts and the functions that are written in Rust, or that Luau brings.
--
-- A Rust function returns nil and its results, or an error value, which `finish` raises: a string
-- with the caller's position in front, a table as it is; true says that the error behind it was
-- caught in Rust and goes on as it came. Nothing here reads a global, so that no
-- environment can change what it does; `ours` keeps `setfenv` off these functions all the same.

local native, raw, slot = ...
local error, type, xpcall, info = native.error, native.type, native.xpcall, native.info
local ours = {}

local function finish(err, ...)
    if err == nil then
        return ...
    end
    if err == true then
        error(..., 0)
    end
    error(err, 3)
end

local function wrap(f)
    local wrapped = function(...)
        return finish(f(...))
    end
    ours[wrapped] = true
    return wrapped
end

-- Calls the host, which is there while a script runs (for the log, while a library is loaded too).
-- `what` is said when it is not.
local function hosted(operation, what, field)
    local wrapped = function(...)
        local host = slot[field]
        if host == nil then
            error({ err = "ERR " .. what .. " can only be called inside a script invocation" })
        end
        return finish(host(operation, ...))
    end
    ours[wrapped] = true
    return wrapped
end

local out = { wrap = wrap, hosted = hosted }

-- Redis's pcall gives the text of an error that is one of its tables.
local pcall, texts = native.pcall, raw.texts
local function settle(ok, err, ...)
    if ok then
        return ok, err, ...
    end
    if type(err) == "string" then
        return false, texts(err)
    end
    if type(err) == "table" then
        local text = err.err
        if type(text) == "string" or type(text) == "number" then
            return false, text
        end
        -- Redis leaves the text that it looked for behind the table.
        return false, err, text
    end
    return false, err
end
out.pcall = function(...)
    return settle(pcall(...))
end
ours[out.pcall] = true

-- Where an error was raised: the first frame that is neither Rust's, Luau's nor this file's.
local function trace(err)
    for level = 2, 12 do
        local source, line = info(level, "sl")
        if source == nil then
            break
        end
        if line > 0 and source ~= "prelude" then
            return { err, source, line }
        end
    end
    return { err }
end
out.run = function(f, keys, args)
    return xpcall(f, trace, keys, args)
end

-- What Rust calls to look into a script's table.
out.index = function(t, key)
    return t[key]
end

-- The state of an iteration is its position.
local gmatch_arguments, gmatch_step = raw.gmatch_arguments, raw.gmatch_step
out.gmatch = function(...)
    local text, pattern = finish(gmatch_arguments(...))
    local at = 0
    local function keep(next, ...)
        at = next
        return ...
    end
    return function()
        return keep(finish(gmatch_step(text, pattern, at)))
    end
end
ours[out.gmatch] = true

-- `%.14g`, as Lua 5.1 writes numbers.
local tostring, select, decimal = native.tostring, native.select, raw.decimal
out.tostring = function(...)
    local value = ...
    if type(value) == "number" then
        return decimal(value, value == 0 and 1 / value < 0)
    end
    if select("#", ...) == 0 then
        error("bad argument #1 to 'tostring' (value expected)", 2)
    end
    return tostring(value)
end
ours[out.tostring] = true

-- Level 0, the whole state's environment, is nobody's; levels count from the caller of these.
local getfenv, setfenv, globals = native.getfenv, native.setfenv, raw.globals
local function at_level(name, level)
    level = level - level % 1
    if level ~= level or level < 0 or level > 100000 then
        error("bad argument #1 to '" .. name .. "' (invalid level)", 3)
    end
    if level == 0 then
        return nil
    end
    local f = info(level + 2, "f")
    if f == nil then
        error("bad argument #1 to '" .. name .. "' (invalid level)", 3)
    end
    return f
end
out.getfenv = function(f)
    if f == nil then
        f = 1
    end
    if type(f) == "number" then
        f = at_level("getfenv", f)
    elseif type(f) ~= "function" then
        error("bad argument #1 to 'getfenv' (number expected, got " .. type(f) .. ")", 2)
    end
    if f == nil or ours[f] or info(f, "s") == "[C]" then
        return globals
    end
    return getfenv(f)
end
ours[out.getfenv] = true
out.setfenv = function(f, env)
    if type(env) ~= "table" then
        error("bad argument #2 to 'setfenv' (table expected, got " .. type(env) .. ")", 2)
    end
    if type(f) == "number" then
        f = at_level("setfenv", f)
    elseif type(f) ~= "function" then
        error("bad argument #1 to 'setfenv' (number expected, got " .. type(f) .. ")", 2)
    end
    if f == nil or ours[f] or info(f, "s") == "[C]" then
        error("'setfenv' cannot change environment of given object", 2)
    end
    return setfenv(f, env)
end
ours[out.setfenv] = true

-- A chunk from a function that gives it in pieces; the cap on a source holds for their sum.
local load, source_max, concat = raw.load, raw.source_max, native.concat
out.load = function(reader, name)
    if type(reader) ~= "function" then
        error("bad argument #1 to 'load' (function expected, got " .. type(reader) .. ")", 2)
    end
    local source, bytes = {}, 0
    while true do
        local piece = reader()
        if piece == nil or piece == "" then
            break
        end
        if type(piece) ~= "string" then
            return nil, "reader function must return a string"
        end
        bytes = bytes + #piece
        if bytes > source_max then
            break
        end
        source[#source + 1] = piece
    end
    return load(concat(source), name or "=(load)")
end
ours[out.load] = true
out.loadstring = function(source, name)
    if type(source) == "number" then
        source = out.tostring(source)
    elseif type(source) ~= "string" then
        error("bad argument #1 to 'loadstring' (string expected, got " .. type(source) .. ")", 2)
    end
    return load(source, name or source)
end
ours[out.loadstring] = true

return out
