"""Words that say which language a short caption is in: what words.toml lists, ready to look up."""

<<<<<<< HEAD
A word of ENGLISH is read by English alone, unless SHARED says which languages write it too. FOREIGN
holds what others say oftenest: articles, pronouns, prepositions, a few adjectives.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENGLISH = _words("""
a an the my your his her its our their this that these those some no every each both all many two
three four five six seven eight nine ten one in on at of with without by for from to into over under
behind beside between near above below inside outside against around through across along up down
out off and or but is are was has have not very other another who what where when man woman boy girl
child baby kid person people men women children family friend mother father brother sister
grandmother grandfather wife husband king queen doctor nurse teacher student farmer soldier worker
player driver singer dancer chef bride groom crowd couple lady guy face head hair eye ear nose mouth
hand arm leg foot feet finger skin heart body smile dog cat horse cow pig sheep goat lamb duck goose
geese hen rooster chicken bird eagle owl hawk parrot penguin swan crow pigeon robin ostrich pelican
flamingo turkey mouse mice rat rabbit squirrel fox wolf bear lion tiger leopard elephant giraffe
zebra monkey gorilla ape deer moose elk camel donkey mule bull ox calf kitten puppy fish shark whale
dolphin seal crab lobster shrimp snail frog toad turtle tortoise lizard snake crocodile alligator
spider bee wasp ant fly butterfly moth beetle ladybug worm dragonfly hedgehog bat beaver otter
badger raccoon kangaroo koala panda cuckoo toucan mantis orca dingo dinosaur dragon unicorn tree
flower leaf leaves grass rose tulip daisy sunflower oak pine bush forest wood garden park field hill
mountain valley river lake sea ocean beach shore island desert waterfall cave rock stone sand mud
sky cloud sun moon star rain snow ice storm fog wind fire smoke water wave sunset sunrise apple
banana orange lemon lime grape strawberry cherry peach pear plum pineapple melon watermelon coconut
potato tomato carrot onion garlic pepper cabbage lettuce corn bean pea mushroom pumpkin bread cake
pie cookie biscuit pizza sandwich burger cheese butter egg milk tea coffee juice wine beer soup
salad rice meat beef pork ham bacon sausage chocolate candy honey sugar salt food breakfast lunch
dinner fruit vegetable nut bowl plate cup mug glass bottle spoon fork knife pan pot kettle jar house
home building castle church temple tower bridge barn farm shop store school hospital station hotel
restaurant kitchen bathroom bedroom room hall office door window wall roof floor stairs ceiling
fence gate street road path town city village market square corner table chair bench bed couch sofa
desk shelf lamp candle clock mirror curtain carpet rug pillow blanket towel basket box bag bucket
broom ladder rope chain key lock hammer nail saw axe shovel wrench screwdriver scissors needle
thread car truck bus train plane airplane boat ship bike bicycle motorcycle van taxi tractor wagon
cart helicopter gift present balloon rocket wheel tire engine ride sail anchor hat cap shirt dress
skirt jacket coat sweater trousers pants jeans shoe boot sock glove scarf belt tie suit ring
necklace bracelet watch purse umbrella button ribbon crown mask helmet uniform ball kite doll toy
puzzle game book newspaper letter paper pen pencil crayon paint painting picture photo drawing map
flag sign stamp coin money phone telephone computer keyboard screen camera television radio guitar
piano drum violin trumpet flute music song football soccer baseball basketball tennis golf swimming
skiing wedding party birthday holiday circle triangle rectangle diamond cross shape line dot stripe
red blue green yellow black white brown pink purple gray grey golden silver big small large little
tiny huge long short tall high low old new young hot cold warm wet dry clean dirty dark light bright
round flat empty full open closed broken happy sad angry funny cute beautiful pretty ugly nice good
bad great wild fresh ripe sweet wooden wrapped rusty striped spotted fluffy shiny heavy soft hard
thick thin left right front back top bottom middle close view background summer winter spring autumn
morning evening night day sitting standing walking running riding playing eating drinking sleeping
flying jumping holding wearing looking smiling reading writing cooking driving dancing singing sits
stands walks runs rides plays eats drinks sleeps flies jumps holds wears looks tattoo vintage
antique old-fashioned leather steel iron brass cotton wool plastic modern
""")

SHARED = {
    "de":
    "an in arm ball hand finger ring bus taxi hotel restaurant park tiger panda pizza "
    "sandwich butter hammer rose wolf radio computer piano golf tennis hat boot rock wind "
    "sand warm all bad was winter person baby sofa jeans top",
    "nl":
    "an in is over of was arm hand ring water bus taxi hotel restaurant park man boot "
    "door panda pizza bed rat wolf sofa lamp warm piano golf tennis ham pan pot beer wind "
    "bad at on open baby computer radio map pen winter rug are all",
    "sv da no":
    "is man hand arm finger hat ring bus taxi hotel restaurant park pizza sofa lamp rose "
    "barn gate by for at over under men and bad bat sand winter warm panda tiger orange "
    "piano radio ball flag top salt all tennis golf",
    "fr":
    "on an or table train bus taxi rose orange lime melon restaurant lion panda zebra "
    "biscuit sandwich pizza bacon tennis golf football piano radio photo camera car face "
    "village forest coin four rat crocodile mule cabbage pie short",
    "es pt it ca gl":
    "a no red pan pie sea taxi bus hotel pizza radio piano camera panda has are in for "
    "sofa rose ape car ten an banana",
    "ro pl cs sk hu sl hr":
    "a an to my by on no in ten hat fog ring park hotel taxi radio piano pizza golf pan "
    "are cap panda zebra banana pot van sad sofa",
    "fi et tr id ms":
    "on an at no in ten hotel taxi radio piano pizza bus banana man pen golf pot park "
    "rose",
}  # fmt: skip

FOREIGN = _words("""
der die das den dem des ein eine einen einem einer und mit auf im am zum zur vom bei ist nicht mein
meine dein sein ihr unser alte alter altes rote roter rotes kleine kleiner kleines grosse zwei drei
de het een en met op aan mijn onze zijn rode grote oude twee le la les un une du au aux et avec dans
sur sous mon ma mes ton ta notre votre petit petite grand grande vieux vieille rouge noir noire
blanc blanche deux trois chien est el los las una unos unas y con del al mi mis tu su sus por para
es pequeno pequena rojo roja negro negra blanco blanca viejo vieja dos tres perro gato il lo gli uno
nel nella sul della dello delle dei di da ed mio mia piccolo rosso rossa nero nera bianco vecchio
due tre cane gatto donna uomo ragazza ragazzo o os um uma na nos nas com meu minha e ao vermelho
vermelha preto branco velho ett och med av som min mitt liten litet stor gammal svart vit det ej og
ei til fra lille rod hvit hvid sort gammel ja oraz ze pod przy jest mój moja maly duzy stary czarny
bialy czerwony dwa trzy z w u i se velky cerveny muj moje az egy egyik kis nagy fekete piros és bir
ve ile siyah beyaz kirmizi kucuk buyuk yang dan dengan itu ini sebuah seekor merah hitam putih kecil
besar saya anak din cu niste pe mea alb negru rosu minun pieni iso vanha musta punainen ang mga sa
ng isang yn gan agus air aon
""")
=======
import tomllib
from collections.abc import Mapping
from pathlib import Path
>>>>>>> main


def _others(shared: Mapping[str, str]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for languages, words in shared.items():
        for word in words.split():
            found[word] = found.get(word, frozenset()) | _words(languages)
    return found


_LISTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

ENGLISH = frozenset(_LISTS["english"].split())
FOREIGN = frozenset(_LISTS["foreign"].split())
OTHERS = _others(_LISTS["shared"])  # word -> the other languages that write it
