"""Words for comparison: one key for spellings that differ in what a reader would not call another word."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

import regex

from nbest.text.normalise import bare, folded, normalised, plain_latex

_MAX_REMEMBERED_CHARS: Final = 40
_EDGES = regex.compile(r"^[\p{P}\s]+|(?<![\p{P}\s])[\p{P}\s]+$")
_TAGS = regex.compile(r"</?[A-Za-z][\w-]{0,30}/?>|<\|[^<>|\n]{1,40}\|>|[$]")
_VOWEL_SIGNS = regex.compile(
    r"[\u0610-\u061a\u064b-\u0652\u0656-\u065f\u0670\u06d6-\u06ed\u0640\u0591-\u05bd\u05bf-\u05c7]"
)
"""Harakat and tatweel of Arabic, niqqud and cantillation of Hebrew: written for learners, left out by others."""
_ONE_SPELLING: Final = str.maketrans({
    "ی": "ي", "ى": "ي", "ې": "ي", "ک": "ك", "ە": "ه", "ۀ": "ه", "ة": "ه", "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا",
    "ς": "σ", "ı": "i", "ё": "е", "\u2011": "-", "’": "'", "\u200c": None, "ş": "ș", "ţ": "ț",
})  # fmt: skip
_TONED_GLIDE = regex.compile(r"(?:(?<=o)|(?<=u))([\u0300\u0301\u0303\u0309\u0323])(?=[aey])")
"""Vietnamese `hòa` is `hoà`: the tone may stand on either vowel of oa, oe and uy."""
_GREEK_TONOS = regex.compile(r"(\p{Greek}\u0308?)\u0301")
"""Capitals are written without it."""
_ROMAN_NUMERALS: Final = {"ii": "2", "iii": "3", "iv": "4", "vii": "7", "viii": "8", "ix": "9", "xii": "12"}
_ROMAN = regex.compile(rf"(?<=\w\s)(?:{'|'.join(_ROMAN_NUMERALS)})(?!\w)")
"""Those that are no words."""
_TRADITIONAL: Final = (
    "國灣臺東華語學體龍門馬鳥魚車長風飛電時間書畫會來個們說話讀寫數萬億無為對錯選項義亞歐韓蘇聯關係經濟農業醫藥術藝樂聲聽見視覺親愛戰爭軍隊鐵銀錢銅鋼鐘錶"
    "紅綠藍黃顏頭髮臉腦腳廣廳廠廟場塊塵壓報壽夢奪婦孫寶實寧將島嶺嚴單賣買質貝財貨貿費賓贊趙進遠連還這過達運輸轉輪軟較輕農邊邏鄉鄭鄧釋鎮陽陰陸階際險隱難離雜雙雞雲霧靈靜頁順須預領頻題類顯飯飲飽館驗驚鬥鬧"
    "魯鮮鹽麥齊齒劉劍劃劑創劇勝勞動務勵勢區協卻參發變圍園圓圖團壯壇壞處備複復夠夾奮妝娛媽嬰寫審導屆屬岡峽幣帶幫幾庫應廢彈強彙彎徑從復德憶懷態慶慮憲懸戲擁擇擊據擴擺攝敗敵斷於昇晉曉曆術條楊極樣標樓樹橋機歡歲歷殘殺氣沒決況"
    "沖淚淺測湯溝滅滿漢漲潔潛濃濕濱灘爐爾牆獎獨獲現環產畢異當療癒監盤確碼禮禪種稱穩積窮競筆節範築簡糧糾紀約級紙純紛組細終結絕給統絲網綜維緊線編緩縣總績織繁繞繪繼續罰罷羅聖職肅脫腸舉舊艦莊蒼蓋蔣薩蘭處號虧蟲補裝規觀觸計訂訓討記"
    "許論設訪診詞試詩誠該詳認誤請調談課誰謀謝證評識譯議護讓讚貓賊賢賴贈跡躍軌辦辭遲適遷選遺郵鄰醜鈴錄鍋鍵鎖鏡鑽閃閉開閒閱隨霸韋頂項頓頗顆顧願餅養餓駐駕騎騙骯魷鯨鴨鵝麗點黨鼓龜"
)
_SIMPLIFIED: Final = (
    "国湾台东华语学体龙门马鸟鱼车长风飞电时间书画会来个们说话读写数万亿无为对错选项义亚欧韩苏联关系经济农业医药术艺乐声听见视觉亲爱战争军队铁银钱铜钢钟表"
    "红绿蓝黄颜头发脸脑脚广厅厂庙场块尘压报寿梦夺妇孙宝实宁将岛岭严单卖买质贝财货贸费宾赞赵进远连还这过达运输转轮软较轻农边逻乡郑邓释镇阳阴陆阶际险隐难离杂双鸡云雾灵静页顺须预领频题类显饭饮饱馆验惊斗闹"
    "鲁鲜盐麦齐齿刘剑划剂创剧胜劳动务励势区协却参发变围园圆图团壮坛坏处备复复够夹奋妆娱妈婴写审导届属冈峡币带帮几库应废弹强汇弯径从复德忆怀态庆虑宪悬戏拥择击据扩摆摄败敌断于升晋晓历术条杨极样标楼树桥机欢岁历残杀气没决况"
    "冲泪浅测汤沟灭满汉涨洁潜浓湿滨滩炉尔墙奖独获现环产毕异当疗愈监盘确码礼禅种称稳积穷竞笔节范筑简粮纠纪约级纸纯纷组细终结绝给统丝网综维紧线编缓县总绩织繁绕绘继续罚罢罗圣职肃脱肠举旧舰庄苍盖蒋萨兰处号亏虫补装规观触计订训讨记"
    "许论设访诊词试诗诚该详认误请调谈课谁谋谢证评识译议护让赞猫贼贤赖赠迹跃轨办辞迟适迁选遗邮邻丑铃录锅键锁镜钻闪闭开闲阅随霸韦顶项顿颇颗顾愿饼养饿驻驾骑骗肮鱿鲸鸭鹅丽点党鼓龟"
)
_ONE_HAN: Final = str.maketrans(_TRADITIONAL, _SIMPLIFIED)
"""Characters of the commonest words, not a conversion: rarer ones stay apart."""
_KATAKANA: Final = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}


def text_key(text: str) -> str:
    """`text` as its words are compared.

    NFKC, case-folded, single spaces; without LaTeX, tags, harakat, niqqud and punctuation around; Persian and
    Arabic letters that look alike are one, so are Greek sigmas, Turkish i with and without its dot, and the
    two places of a Vietnamese tone. A text of punctuation alone stays as it is.
    """
    key = respelled(bare(_TAGS.sub(" ", plain_latex(normalised(text)))))
    if " " in key:
        key = _ROMAN.sub(lambda m: _ROMAN_NUMERALS[m[0]], key.removeprefix("the "))
    if key[:1].isalnum() and key[-1].isalnum():
        return key
    return _EDGES.sub("", key).strip() or key


def loose_key(key: str) -> str:
    """A `text_key` with Japanese syllabaries as one, common traditional characters as simplified ones, no space beside them."""
    if key.isascii():
        return key
    if " " in key:
        key = _SPACE_BESIDE_HAN.sub("", key)
    return key.translate(_KATAKANA).translate(_ONE_HAN)


_CJK: Final = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_SPACE_BESIDE_HAN = regex.compile(rf"(?<={_CJK})\s+|\s+(?={_CJK})")


def respelled(text: str) -> str:
    """`text` case-folded, in one spelling, words and punctuation as they are. Remembers short ones."""
    if text.isascii():
        return " ".join(normalised(text).lower().split())
    return _remembered(text) if len(text) <= _MAX_REMEMBERED_CHARS else _respelled(text)


def _respelled(text: str) -> str:
    key = folded(text)
    if key.isascii():
        return key

    key = _VOWEL_SIGNS.sub("", key.translate(_ONE_SPELLING))
    split = unicodedata.normalize("NFD", key).replace("i\u0307", "i")
    split = _GREEK_TONOS.sub(r"\1", split)
    moved = _TONED_GLIDE.sub(lambda m: "\0" + m[1], split)
    if "\0" in moved:
        moved = regex.sub(r"\0(.)([aey])", r"\2\1", moved)
    return unicodedata.normalize("NFC", moved)


_remembered = lru_cache(maxsize=1 << 13)(_respelled)
