-- Writes a batch of changes and the mark that they lead to, or nothing at all.
--
-- Whatever Redis has forgotten, this holds: a shelf whose mark is at an offset
-- has all of the log before that offset, and nothing behind it. For if the mark
-- is where the batch begins, then so are all books; and after a crash of Redis
-- the mark and the books go back to the same moment.
--
--   KEYS  mark, then book and history of each root
--   ARGV  the mark as it must be, as it is to be, the shelf's id; then for each
--         root: how, last page that must be stored (4 bytes), entries of pages
--         that the snapshot covers, the snapshot's entry, entries to append
--
-- Gives how many books had to be given up, as they are not what they must be:
-- the log is asked for these. -1 says that the mark is another one.

local was = redis.pcall('GET', KEYS[1])
if type(was) ~= 'string' then was = '' end
if was ~= ARGV[1] then return -1 end

local id = ARGV[3]
local lost = 0

local function lose(book, history)
	lost = lost + 1
	redis.call('SET', book, id .. 'l')
	redis.call('DEL', history)
end

local function number(s, at)
	local a, b, c, d = string.byte(s, at, at + 3)
	if not d then return nil end
	return a * 16777216 + b * 65536 + c * 256 + d
end

-- stubs takes a row apart: the pages' stubs, the last page that an earlier
-- snapshot covers, and what says that the book is broken.
local function stubs(row)
	local found, broken, covers, at = {}, {}, 0, 1
	while at <= #row do
		local size = number(row, at + 1)
		local stop = size and at + 4 + size + 8
		if not stop or stop > #row then return nil end
		local kind = string.sub(row, at, at)
		if kind == 'p' then
			found[#found + 1] = string.sub(row, at + 5, at + 36)
		elseif kind == 's' then
			covers = number(row, stop - 7)
		elseif kind == 'b' then
			broken[#broken + 1] = string.sub(row, at, stop)
		end
		at = stop + 1
	end
	return table.concat(found), covers, table.concat(broken)
end

-- snap begins a book anew with its snapshot; what it covers goes to the history.
local function snap(book, history, stored, covered, snapshot, pages)
	local found, covers, broken = stubs(stored .. covered)
	if not found then return lose(book, history) end
	if found == '' and covers == 0 then
		redis.call('DEL', history)
	elseif covers == 0 or broken ~= '' then
		redis.call('SET', history, id .. found)
	else
		local head = redis.pcall('GETRANGE', history, 0, 7)
		if head ~= id or redis.call('STRLEN', history) ~= 8 + 32 * covers then
			return lose(book, history)
		end
		redis.call('APPEND', history, found)
	end
	redis.call('SET', book, id .. broken .. snapshot .. pages)
end

for i = 2, #KEYS, 2 do
	local book, history = KEYS[i], KEYS[i + 1]
	local n = 4 + (i - 2) / 2 * 5
	local how, after, covered, snapshot, pages = ARGV[n], ARGV[n + 1], ARGV[n + 2], ARGV[n + 3], ARGV[n + 4]
	local head = redis.pcall('GETRANGE', book, 0, 8)
	if type(head) ~= 'string' then head = '' end
	local there = how ~= 'begin' and string.sub(head, 1, 8) == id
	if how == 'lose' then
		lose(book, history)
	elseif there and string.sub(head, 9, 9) == 'l' then
		-- It stays lost until it begins anew.
	elseif there and redis.call('GETRANGE', book, -8, -5) ~= after
		or not there and how ~= 'begin' and after ~= '\0\0\0\0' then
		lose(book, history)
	elseif snapshot ~= '' then
		local stored = there and string.sub(redis.call('GET', book), 9) or ''
		snap(book, history, stored, covered, snapshot, pages)
	elseif there then
		redis.call('APPEND', book, pages)
	else
		redis.call('SET', book, id .. pages)
	end
end

redis.call('SET', KEYS[1], ARGV[2])
return lost
