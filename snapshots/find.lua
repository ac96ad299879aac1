-- Reads where a root's pages are, and the mark in the same look.
--
--   KEYS  mark, book and history of the root
--   ARGV  how many bytes of the book are wanted
--
-- Gives the mark, how many keys Redis has ever evicted if there is no book, the
-- book's size and its first bytes, the history's size and its shelf id.

local mark = redis.pcall('GET', KEYS[1])
if type(mark) ~= 'string' then mark = '' end
local book = redis.pcall('GETRANGE', KEYS[2], 0, tonumber(ARGV[1]) - 1)
if type(book) ~= 'string' then book = 'no text' end -- corrupt
local evicted = '0'
if book == '' then evicted = string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)') or '0' end
local head = redis.pcall('GETRANGE', KEYS[3], 0, 7)
if type(head) ~= 'string' then head = '' end
local size = #book
if size == tonumber(ARGV[1]) then size = redis.call('STRLEN', KEYS[2]) end
local history = 0
if head ~= '' then history = redis.call('STRLEN', KEYS[3]) end
return {mark, evicted, size, book, history, head}
